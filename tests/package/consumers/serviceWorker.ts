// The static entry is the same library.
import type * as usual from "wattention";
import * as complete from "wattention/service-worker";

export const same: typeof usual = complete;
export const { pipeline }: Pick<typeof usual, "pipeline"> = complete;
