/** The cluster's reservations as last seen, for saying until when a job waits: read at most twice a minute, and only while somebody asks. */
import type { Clock } from '../../clock.ts';
import type { SlurmRead } from '../batch-order.ts';
import type { ReservationFact } from '../contract/index.ts';

const KEEP_MS = 30_000;

export function watchReservations(
  read: Pick<SlurmRead, 'reservations'>,
  clock: Clock,
): () => readonly ReservationFact[] {
  let known: readonly ReservationFact[] = [];
  let nextMs = 0;
  return () => {
    if (clock.monotonic() >= nextMs) {
      nextMs = clock.monotonic() + KEEP_MS;
      read.reservations().then(
        (found) => {
          known = found;
        },
        () => undefined,
      );
    }
    return known;
  };
}
