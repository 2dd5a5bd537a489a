/** The streams that steps of the run write by `getWritable()`, by namespace, and whether they are closed. */
export const SPOKEN_STREAMS = { closed: true, released: false, open: false, piped: true, given: true } as const;

export const SPOKEN = ['un', 'deux', 'trois'];
