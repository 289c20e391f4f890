/** The kernel by itself, compiled in memory by attention.test.ts. */
export { attention } from "../../assembly/kernels/attention";
