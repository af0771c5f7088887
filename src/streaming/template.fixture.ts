/** Templates for tests: the example facility's shapes with small bounds. Pure. */
import type { Template } from './template.ts';

export function testTemplate(change: Partial<Template> = {}): Template {
  return {
    name: 'frames',
    title: 'Frames',
    engine: 'relay',
    kind: 'shared',
    queueType: 'classic',
    tls: 'off',
    mode: 'direct',
    admission: 'credential',
    delivery: 'redeliver',
    overflow: 'wait',
    consumer: 'connect',
    offlineLifetimeSeconds: 60,
    credentialLifetimeSeconds: 600,
    maxMessageBytes: 65_536,
    maxConnections: 4,
    parameters: {
      bufferBytes: { default: 1000, min: 100, max: 10_000 },
      lifetimeSeconds: { default: 60, min: 10, max: 3600 },
      externalAddresses: { default: ['127.0.0.0/8'], max: 3 },
    },
    ...change,
  };
}

export const LISTENING: Partial<Template> = {
  name: 'listening',
  admission: 'address',
  delivery: 'at-most-once',
  consumer: 'listen',
  parameters: { ...testTemplate().parameters, consumerListens: { default: [], max: 2 } },
};
