/**
 * A facility's networks as namespaces of this machine, for one test: `outside` (a beamline that is listed), `stranger` (somewhere else), `control` (the control plane), `dsn` between them and `compute`. Veth pairs only,
 * no link to the machine's own network; nothing forwards. Owns the namespaces until `remove`.
 */
import { execFileSync } from 'node:child_process';

export const ADDRESS = {
  outside: '198.18.1.2',
  stranger: '198.18.3.2',
  external: '198.18.1.1',
  computeSide: '198.18.2.1',
  compute: '198.18.2.2',
  control: '198.18.4.2',
  controlSide: '198.18.4.1',
} as const;

export type Place = 'outside' | 'stranger' | 'dsn' | 'compute' | 'control';

export interface Networks {
  /** The words before a command that is to run there. */
  in(place: Place): readonly string[];
  /** Octets both ways so far on the node's end of the link to that place. */
  passed(place: Exclude<Place, 'dsn'>): number;
  /** Pulls the cable, or plugs it in. */
  link(place: Exclude<Place, 'dsn'>, state: 'down' | 'up'): void;
  /** An address of the node's goes or comes. */
  address(of: 'external', act: 'del' | 'add'): void;
  remove(): void;
}

interface LinkRow {
  readonly stats64: { readonly rx: { readonly bytes: number }; readonly tx: { readonly bytes: number } };
}

const ip = (...args: string[]): void => {
  execFileSync('/usr/sbin/ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** Undefined: they can be made here. */
export function whyNoNetworks(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `bw${process.pid}probe`;
  try {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('netns', 'del', name);
    return undefined;
  } catch (cause) {
    return `no network namespaces can be made here: ${String(cause).slice(0, 100)}`;
  }
}

export function makeNetworks(): Networks {
  const named = (place: Place): string => `bw${process.pid}${place}`;
  const places: readonly Place[] = ['outside', 'stranger', 'dsn', 'compute', 'control'];
  for (const place of places) {
    ip('netns', 'add', named(place));
    ip('-n', named(place), 'link', 'set', 'lo', 'up');
  }
  const pair = (place: Place, there: string, here: string): void => {
    const [a, b] = [`bw${place.slice(0, 3)}`, `bwto${place.slice(0, 3)}`];
    ip('link', 'add', a, 'netns', named(place), 'type', 'veth', 'peer', 'name', b, 'netns', named('dsn'));
    ip('-n', named(place), 'addr', 'add', `${there}/30`, 'dev', a);
    ip('-n', named('dsn'), 'addr', 'add', `${here}/30`, 'dev', b);
    ip('-n', named(place), 'link', 'set', a, 'up');
    ip('-n', named('dsn'), 'link', 'set', b, 'up');
    // Whoever is outside knows a way to everything: it must end at the node.
    ip('-n', named(place), 'route', 'add', 'default', 'via', here);
  };
  pair('outside', ADDRESS.outside, ADDRESS.external);
  pair('stranger', ADDRESS.stranger, '198.18.3.1');
  pair('compute', ADDRESS.compute, ADDRESS.computeSide);
  pair('control', ADDRESS.control, ADDRESS.controlSide);
  return {
    in: (place) => ['/usr/sbin/ip', 'netns', 'exec', named(place)],
    passed(place) {
      const args = ['-n', named('dsn'), '-s', '-j', 'link', 'show', `bwto${place.slice(0, 3)}`];
      const [link] = JSON.parse(execFileSync('/usr/sbin/ip', args).toString()) as readonly LinkRow[];
      return (link?.stats64.rx.bytes ?? 0) + (link?.stats64.tx.bytes ?? 0);
    },
    link: (place, state) => ip('-n', named('dsn'), 'link', 'set', `bwto${place.slice(0, 3)}`, state),
    address: (of, act) => ip('-n', named('dsn'), 'addr', act, `${ADDRESS[of]}/30`, 'dev', 'bwtoout'),
    remove() {
      for (const place of places) ip('netns', 'del', named(place));
    },
  };
}
