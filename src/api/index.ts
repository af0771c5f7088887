/** The door of the room `api`: the front door, the only room that knows HTTP. */
export { type DenialTally, openDenialTally } from './denial-tally.ts';
export { type HttpServer, httpServer } from './http-server.ts';
export { apiMigrations, pruneClaims } from './idempotency-store.ts';
export { type LimitRates, requestLimits } from './limits.ts';
export { API_VERSION, openapiDocument, openapiText } from './openapi.ts';
export { PIPELINE, type PipelineDeps } from './pipeline.ts';
export type { Routes } from './route.ts';
export { auditRoutes } from './routes/audit-routes.ts';
export { facilityRoutes } from './routes/facility-routes.ts';
export { jobRoutes } from './routes/job-routes.ts';
export { policyRoutes } from './routes/policy-routes.ts';
export { runRoutes } from './routes/run-routes.ts';
export { streamRoutes } from './routes/stream-routes.ts';
export { tokenRoutes } from './routes/token-routes.ts';
