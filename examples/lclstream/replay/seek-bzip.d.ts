// The one function of seek-bzip (CommonJS, without types of its own) that replay uses.
declare module 'seek-bzip' {
  const bzip: {
    /** Decompresses a whole .bz2; throws on a wrong block checksum or a truncated stream. */
    readonly decode: (input: Uint8Array, output?: undefined, multistream?: boolean) => Uint8Array;
  };
  export default bzip;
}
