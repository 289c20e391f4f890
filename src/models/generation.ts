/** What goes on with sequences: families with a language head bring it, and those without do not, so that a bundle of an encoder has none of it. */
export const generation = async () => await import("../generate/index.ts");
