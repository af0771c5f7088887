/** What users reach of a stream on a RabbitMQ: our gateway (mode `l7`), or the broker itself by TLS (mode `direct`). */
import type { ObservedStream } from '../../../api/contract/node-link.ts';
import type { QueueSight } from './management.ts';

export interface Front {
  readonly port: number;
  observe(sight: QueueSight, lost: string): ObservedStream;
  /** Ends the connections that `isUnwanted` names, now and, where they can only be seen later, then. */
  cut(isUnwanted: (grant: { readonly credentialId: string }, address: string) => boolean, reason: string): void;
  /** Ends the producers' connections, as long as it is called. */
  cutProducers(reason: string): void;
  /** The stream was paused or resumed, where somebody of ours is between. */
  rehold?(): void;
  close(reason: string): Promise<void>;
}
