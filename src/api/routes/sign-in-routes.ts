/** Device codes over HTTP. Open to everybody, so each address may begin a bounded number of them: each is a row. */
import { type DeviceDeps, pollDeviceLogin, startDeviceLogin } from '../../identity/index.ts';
import { localBuckets } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { addressKey } from '../client-address.ts';
import type { Routes } from '../route.ts';

type SignInRoutes = Pick<Routes, 'login.device' | 'login.poll'>;

/** A login host is one address for many people. */
const STARTS_PER_MINUTE = 60;

export function signInRoutes(deps: DeviceDeps, origin: () => string): SignInRoutes {
  const starts = localBuckets({ perSecond: STARTS_PER_MINUTE / 60, burst: STARTS_PER_MINUTE }, deps.clock);
  return {
    'login.device': {
      async handle({ body, remoteAddress }) {
        const waitMs = starts.take(addressKey(remoteAddress));
        if (waitMs > 0)
          throw new Problem('rate-limited', `More than ${STARTS_PER_MINUTE} sign-ins a minute from this address.`, {
            retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
          });
        const codes = await startDeviceLogin(deps, { address: remoteAddress, stepUp: body.step_up });
        const page = `${origin()}/beamway/device`;
        return {
          device_code: codes.deviceCode,
          user_code: codes.userCode,
          verification_uri: page,
          verification_uri_complete: `${page}?user_code=${codes.userCode}`,
          expires_in: codes.expiresInSeconds,
          interval: codes.intervalSeconds,
        };
      },
    },
    'login.poll': {
      async handle({ body, requestId }) {
        const { token, value } = await pollDeviceLogin(deps, {
          deviceCode: body.device_code,
          agent: 'beamway login',
          requestId,
        });
        return {
          access_token: value,
          token_type: 'Bearer',
          expires_in: Math.floor((token.expiresAt.getTime() - deps.clock.now()) / 1000),
          id: token.id,
          subject: token.subject,
          roles: [...token.roles],
          expiresAt: token.expiresAt.toISOString(),
        };
      },
    },
  };
}
