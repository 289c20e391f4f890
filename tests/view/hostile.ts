import fc from "fast-check";

const fragments = [
  "</script>",
  "<script>alert(1)</script>",
  "<!--",
  "-->",
  "]]>",
  "<![CDATA[",
  '"',
  "'",
  "&",
  "&lt;",
  "&#60;",
  "<",
  ">",
  "</svg>",
  "</title>",
  "</style>",
  "<img src=x onerror=alert(1)>",
  "\0",
  "\x1b[31m",
  "\x1b]0;pwned\x07",
  "\x9b2J",
  "\r\n",
  "\t",
  "\x7f",
  "\u202e",
  "\u2066",
  "\u200b",
  "\ufeff",
  "\u2028",
  "\ufffe",
  "\uffff",
  "\ud800",
  "\udc00",
  "猫",
  "🐈",
  "👩‍👩‍👧",
  "🇩🇪",
  "❤️",
  "é",
  "क्षि",
  "שלום",
  "ｆｕｌｌ",
];

/** Any string that a tokenizer or an attacker may hand over: unicode, lone surrogates, controls, markup. */
export const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.array(fc.nat(0xffff), { maxLength: 8 }).map((units) => String.fromCharCode(...units)),
  fc.array(fc.constantFrom(...fragments), { maxLength: 4 }).map((parts) => parts.join("")),
);

/** What must not be left in any output: controls but line feeds, format characters but the joiners, lone surrogates, noncharacters U+FFFE/F. */
export const UNSAFE = /(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/u;
