export { attentionHtml, type HtmlOptions } from "./html.ts";
export { attentionRollout, type RolloutOptions } from "./rollout.ts";
export { attentionSvg, type SvgOptions } from "./svg.ts";
export { attentionText, type TextOptions } from "./terminal.ts";
export type { Labels } from "./text.ts";
