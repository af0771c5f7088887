/** What exists, over HTTP. */
import type { Facility } from '../../facility/index.ts';
import { API_VERSION } from '../openapi.ts';
import type { Routes } from '../route.ts';

type FacilityRoutes = Pick<Routes, 'health.show' | 'facility.show'>;

export function facilityRoutes(facility: Facility): FacilityRoutes {
  return {
    'health.show': {
      handle: ({ signal }) => ({ status: signal.aborted ? 'draining' : 'ok', version: API_VERSION }),
    },
    'facility.show': {
      handle: () => ({
        name: facility.name,
        title: facility.title,
        environments: [...facility.environments.values()].map(({ name, title, stage, enclave, cluster, tiers }) => ({
          name,
          title,
          stage,
          enclave,
          cluster,
          tiers: [...tiers],
        })),
        tiers: [...facility.tiers.values()].map(({ name, title, priority, preempts, preemptMode, graceSeconds }) => ({
          name,
          title,
          priority,
          preempts: [...preempts],
          preemptMode,
          graceSeconds,
        })),
      }),
    },
  };
}
