// What a detector hands over: one frame after another, modelled (detector/) or replayed from files (replay/).
import type { Position } from './detector/sample.ts';

export type PixelType = 'uint16' | 'int32';

/** A spot the model put into the frame: place in pixels; snr as defined in detector/model.ts. */
export type TrueSpot = { readonly x: number; readonly y: number; readonly snr: number };

export type DetectorFrame = {
  /** [rows, columns]; rows are the slow dimension. */
  readonly shape: readonly [number, number];
  readonly dtype: PixelType;
  /** Little-endian pixels, row by row. */
  readonly bytes: Uint8Array;
  /** Direct beam in pixels, when known. */
  readonly beamCentre?: { readonly x: number; readonly y: number };
  /** Counts from which a pixel is not to be used, when it is not the largest value of dtype. */
  readonly saturation?: number;
  /** Absent for replayed frames: nobody knows their spots. An empty list is a blank. */
  readonly truth?: readonly TrueSpot[];
  /** The file a replayed frame came from. */
  readonly file?: string;
};

export type FrameSource = {
  readonly name: 'model' | 'replay';
  /** The frame for a sequence number and beam position; the same arguments give the same bytes. */
  readonly frame: (sequence: number, position: Position) => DetectorFrame;
};
