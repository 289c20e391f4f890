import { InputError, ShapeError } from "./errors.ts";

export type TensorData = Float32Array | Int32Array;
export type TensorType = "float32" | "int32";
/** Numbers nested to any depth, all branches of equal length. */
export type NestedNumbers = number | readonly NestedNumbers[];

/** Anything with numbers and dims. */
export interface TensorLike {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
}

/** A dense row-major array with dims, as in transformers.js. `data` belongs to the tensor: it is never a view of an engine's memory. */
export class Tensor<D extends TensorData = Float32Array> {
  readonly type: TensorType;

  /** @throws ShapeError if `data` does not hold as many numbers as `dims` say. */
  constructor(
    readonly data: D,
    readonly dims: readonly number[],
  ) {
    if (dims.reduce((a, b) => a * b, 1) !== data.length) throw new ShapeError("tensor", [data.length], dims);
    this.type = data instanceof Int32Array ? "int32" : "float32";
  }

  get size(): number {
    return this.data.length;
  }

  /** The tensor as nested plain arrays. A tensor without dims gives one number. */
  tolist(): NestedNumbers {
    const level = (axis: number, at: number, stride: number): NestedNumbers =>
      axis === this.dims.length
        ? this.data[at]
        : Array.from({ length: this.dims[axis] }, (_, i) =>
            level(axis + 1, at + (i * stride) / this.dims[axis], stride / this.dims[axis]),
          );
    return level(0, 0, this.data.length);
  }

  /** Row `i` along the first axis, copied. @throws InputError if there is no such row. */
  row(i: number): Tensor<D> {
    const [n, ...rest] = this.dims;
    if (!(Number.isInteger(i) && i >= 0 && i < n)) throw new InputError(`row ${i} of a tensor of ${n} rows`);
    const size = this.data.length / n;
    return new Tensor(this.data.slice(i * size, (i + 1) * size) as D, rest);
  }
}
