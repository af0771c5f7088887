/** The door of the room `api`: the front door, the only room that knows HTTP. */

export { type DenialTally, openDenialTally } from './denial-tally.ts';
export { type HttpServer, httpServer } from './http-server.ts';
export { apiMigrations, pruneClaims } from './idempotency-store.ts';
export { requestLimits } from './limits.ts';
export { API_VERSION, openapiDocument, openapiText } from './openapi.ts';
export { devicePages } from './pages/device-pages.ts';
export { factorManagePages } from './pages/factor-manage-pages.ts';
export { factorPages } from './pages/factor-pages.ts';
export { document, type Html, html, type Page } from './pages/page.ts';
export { type PageDeps, pagesOrigin, STYLESHEET } from './pages/serve-pages.ts';
export { sessionPages } from './pages/session-pages.ts';
export { signInPages } from './pages/sign-in-pages.ts';
export { PIPELINE, type PipelineDeps } from './pipeline.ts';
export type { Routes } from './route.ts';
export { auditRoutes } from './routes/audit-routes.ts';
export { facilityRoutes } from './routes/facility-routes.ts';
export { factorRoutes } from './routes/factor-routes.ts';
export { jobRoutes } from './routes/job-routes.ts';
export { lockdownRoutes } from './routes/lockdown-routes.ts';
export { type OauthDeps, oauthRoutes } from './routes/oauth-routes.ts';
export { peopleRoutes } from './routes/people-routes.ts';
export { policyRoutes } from './routes/policy-routes.ts';
export { runRoutes } from './routes/run-routes.ts';
export { signInRoutes } from './routes/sign-in-routes.ts';
export { streamRoutes } from './routes/stream-routes.ts';
export { tokenRoutes } from './routes/token-routes.ts';
