/** A strict reader of the XML 1.0 that an SVG needs (no DTD, no processing instructions): throws at whatever is not well-formed. */
export interface Element {
  name: string;
  attributes: Record<string, string>;
  children: (Element | string)[];
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function decode(raw: string): string {
  return raw.replace(/&([^;&]*);?/g, (whole, body: string) => {
    const decimal = /^#(\d+)$/.exec(body);
    if (!whole.endsWith(";") || !(decimal || body in ENTITIES)) throw new Error(`bad reference ${whole}`);
    return decimal ? String.fromCodePoint(+decimal[1]) : ENTITIES[body];
  });
}

export function parseXml(source: string): Element {
  const illegal = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.exec(source);
  if (illegal) throw new Error(`illegal character at ${illegal.index}`);
  const root: Element = { name: "", attributes: {}, children: [] };
  const open = [root];
  let at = 0;
  for (const match of source.matchAll(/<(\/?)([A-Za-z][\w:.-]*)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>/g)) {
    const [tag, close, name, attributes, empty] = match;
    const text = source.slice(at, match.index);
    if (text.includes("<") || text.includes("]]>")) throw new Error(`stray markup in ${text.slice(0, 80)}`);
    const parent = open[open.length - 1];
    if (text) parent.children.push(decode(text));
    at = match.index + tag.length;
    if (close) {
      if (parent.name !== name) throw new Error(`</${name}> closes <${parent.name}>`);
      open.pop();
      continue;
    }
    const element: Element = { name, attributes: {}, children: [] };
    for (const [, key, value] of attributes.matchAll(/([\w:.-]+)="([^"]*)"/g)) {
      if (key in element.attributes) throw new Error(`attribute ${key} twice`);
      element.attributes[key] = decode(value);
    }
    parent.children.push(element);
    if (!empty) open.push(element);
  }
  if (open.length !== 1 || source.slice(at).trim() || root.children.length !== 1)
    throw new Error("not one whole element");
  return root.children[0] as Element;
}

/** All elements called `name` under `element`, in document order. */
export function all(element: Element, name: string): Element[] {
  return element.children.flatMap((child) =>
    typeof child === "string" ? [] : [...(child.name === name ? [child] : []), ...all(child, name)],
  );
}

export const textOf = (element: Element): string =>
  element.children.map((child) => (typeof child === "string" ? child : textOf(child))).join("");
