/** One way through a stream, whatever its engine speaks. A port: redis-path.ts, rabbitmq-path.ts and relay-path.ts are its adapters. */
import type { Result } from '../../client.ts';

export type Credential = Pick<Result<'stream.credential'>, 'endpoint' | 'username' | 'password' | 'authority'>;

export interface LoadProducer {
  /**
   * Hands a message over. Resolves to whether the other end has it: false where it was refused because the buffer is full. Resolves at once where there is no confirm. Rejects
   * with words where the connection has ended.
   */
  put(message: Buffer): Promise<boolean>;
  /** Undefined where there is room for more now. */
  room(): Promise<void> | undefined;
  /** When all that was put has left. */
  close(): Promise<void>;
}

export interface LoadConsumer {
  close(): Promise<void>;
}

export interface LoadPath {
  /** Whether `put` tells what the other end did. */
  readonly confirms: boolean;
  producer(index: number): Promise<LoadProducer>;
  consumer(index: number, on: (message: Buffer) => void): Promise<LoadConsumer>;
  /** Takes away what the path made. */
  close(): Promise<void>;
}

export interface PathTerms {
  readonly producer: Credential;
  readonly consumer: Credential;
  readonly confirms: boolean;
  readonly prefetch: number;
  /** How many there will be. */
  readonly consumers: number;
  /** RabbitMQ: over how many queues. */
  readonly queues: number;
  /** The way back of a round trip, beside the way there. */
  readonly back: boolean;
  /** Consumers give back what they have done with, message by message (ZeroMQ). */
  readonly redeliver: boolean;
  /** The first thing that went wrong on a connection, in words. */
  readonly onFault: (fault: string) => void;
}

export const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
