import { InputError, ShapeError } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { attentionRollout } from "./rollout.ts";
import { axes, clip, escaped, type Labels } from "./text.ts";

export interface HtmlOptions {
  /** Probabilities, one [B, H, Tq, Tk] a layer. */
  attentions: readonly Tensor[];
  /** One per position; `{ rows, columns }` where queries and keys differ (cross-attention). */
  tokens: Labels;
  /** Default "Attention". */
  title?: string;
  /** Adds the rollout of all layers. Default: whether `tokens` is a plain list, since only self-attention has one. */
  rollout?: boolean;
  /** Which sequence of the batch. Default 0. */
  sequence?: number;
}

// The page's style and script are constants so that its policy can name them by hash; after a change, tests/view/html.test.ts says the new
// hash. No minifier reaches into a string, hence the short names: the elements l(ayer) h(ead) o(utput) k(eys) q(ueries) c(anvas)
// u (frame around the cell) t(op probability) d(ata), s(ize of a cell), M(aps of the layers), P(robabilities drawn).
const STYLE = `:root{color-scheme:light dark;font:14px/2 system-ui}
h1{margin:0}
header{position:sticky;top:0;background:Canvas;z-index:1}
main{display:grid;grid:auto auto/max-content max-content;font:12px monospace;margin:1em 0}
#k{grid-column:2;writing-mode:sideways-lr}
#q{text-align:end}
span{display:block;block-size:var(--s);line-height:var(--s);padding-inline:6px;white-space:pre}
.d span{color:#0000}
span.on{color:LinkText;background:#3b82f633}
div{position:relative;outline:1px solid #8888}
canvas{display:block;image-rendering:pixelated}
#u{position:absolute;inset:0 auto auto 0;width:var(--s);height:var(--s);outline:2px solid;pointer-events:none;scroll-margin:3em}`;
const SCRIPT = `const[l,h,o,k,q,c,u,t,d]=document.querySelectorAll("[id]"),[f,g,p]=o.children,R=q.children,C=k.children,n=R.length,m=C.length,
M=d.textContent.split(",").map(b=>Uint8Array.from(atob(b),e=>e.charCodeAt())),s=Math.max(3,Math.min(20,1200/m|0)),G=c.getContext("2d"),
at=(r,e)=>{if(R[r]&&C[e]){R[y].className=C[x].className="";f.textContent=R[y=r].textContent;g.textContent=C[x=e].textContent;
R[y].className=C[x].className="on";p.textContent=P[y*m+x].toFixed(3);u.style.translate=x*s+"px "+y*s+"px"}},
draw=()=>{const b=M[l.selectedIndex],H=b.length/n/m,z=H>1?h.selectedIndex-1:0,I=G.createImageData(m,n);h.disabled=H<2;
P=Float32Array.from({length:n*m},(_,i)=>{let v=0;for(let j=0;j<H;j++)if(z<0||j==z)v+=(b[j*n*m+i]/255)**2;return z<0?v/H:v});
const a=P.reduce((a,v)=>v>a?v:a);P.forEach((v,i)=>I.data.set([59,130,246,255*v/a],4*i));G.putImageData(I,0,0);t.textContent=a.toFixed(3);at(y,x)};
let P,y=0,x=0;
document.body.style.setProperty("--s",s+"px");document.body.className=s<11?"d":"";c.style.width=m*s+"px";c.style.height=n*s+"px";
c.onpointerdown=c.onpointermove=e=>at(e.offsetY/s|0,e.offsetX/s|0);
c.onkeydown=e=>{const a={Up:[-1,0],Down:[1,0],Left:[0,-1],Right:[0,1]}[e.key.slice(5)];if(a){e.preventDefault();at(y+a[0],x+a[1]);u.scrollIntoView({block:"nearest",inline:"nearest"})}};
(l.onchange=h.onchange=draw)()`;
const STYLE_HASH = "xE/G/3vw/d5nx0CJ0lPZtjh9aZzA3R4eu3iiF7zYab4=";
const SCRIPT_HASH = "dsauy9vGr/b9gWHFr1mZA3PO56RZwjw/KayX5L3iDyc=";

/** 8 bits of √p: the error is at most √p/255 + 1/510², so that small probabilities keep their digits. */
function encode({ data }: Tensor): string {
  let bytes = "";
  for (const byte of Uint8ClampedArray.from(data, (p) => 255 * Math.sqrt(p))) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

/**
 * Attention of one sequence as one self-contained HTML page: a token-to-token matrix with a picker of layer and head, the mean of the
 * heads and the rollout. Pointer or arrow keys choose a pair of tokens. It loads nothing: its Content-Security-Policy allows its
 * own style and script by hash and nothing else. Probabilities are stored in 8 bits, within 0.004 (the page says so); the size is about
 * 1.33 · layers · heads · Tq · Tk bytes.
 * @throws InputError without layers or sequence, ShapeError if a layer does not match the tokens or the first layer
 */
export function attentionHtml({
  attentions,
  tokens,
  title = "Attention",
  rollout = !("rows" in tokens),
  sequence = 0,
}: HtmlOptions): string {
  const { rows, columns } = axes(tokens);
  if (!attentions.length) throw new InputError("no attentions");
  const dims = [...attentions[0].dims.slice(0, 2), rows.length, columns.length];
  const maps = attentions.map((layer, i) => {
    if (`${layer.dims}` !== `${dims}`) throw new ShapeError(`attentions[${i}]`, dims, layer.dims);
    return encode(layer.row(sequence));
  });
  const options = (count: number) => Array.from({ length: count }, (_, i) => `<option>${i}`).join("");
  const spans = (labels: readonly string[]) => labels.map((l) => `<span>${escaped(clip(l, 24))}</span>`).join("");
  const layers = options(maps.length);
  if (rollout) maps.push(encode(attentionRollout(attentions, { sequence })));
  const name = escaped(title);
  return `<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content="default-src 'none';script-src 'sha256-${SCRIPT_HASH}';style-src 'sha256-${STYLE_HASH}';base-uri 'none';form-action 'none'"><meta name=viewport content=width=device-width><title>${name}</title><style>${STYLE}</style><h1>${name}</h1>
<header><label>Layer <select id=l>${layers}${rollout ? "<option>rollout" : ""}</select></label> <label>Head <select id=h><option>mean of heads${options(dims[1])}</select></label> <output id=o><bdi></bdi> attends to <bdi></bdi>: <b></b></output></header>
<main><section id=k>${spans(columns)}</section><section id=q>${spans(rows)}</section><div><canvas id=c width=${columns.length} height=${rows.length} tabindex=0 role=application aria-label="Heat map; arrow keys move"></canvas><i id=u></i></div></main>
Rows attend to columns; full colour is <b id=t></b>. Stored in 8 bits: within 0.004.<script type=text/plain id=d>${maps}</script><script>${SCRIPT}</script></html>`;
}
