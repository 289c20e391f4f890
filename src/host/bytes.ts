/** The type of wattention/models/* where a bundler takes them as data, as wrangler does by its rule of type Data. */
declare const bytes: ArrayBuffer;
export default bytes;
