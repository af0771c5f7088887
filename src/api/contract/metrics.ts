/** What a Prometheus server scrapes. */
import { z } from 'zod';
import { operation } from './operation.ts';

export const showMetrics = operation({
  id: 'metrics.show',
  method: 'GET',
  path: '/metrics',
  summary: 'Streams, nodes and this replica as Prometheus metrics, for a token of staff',
  tag: 'facility',
  response: z.string().describe('Text exposition format 0.0.4'),
  text: 'text/plain; version=0.0.4; charset=utf-8',
  action: 'metrics:read',
});
