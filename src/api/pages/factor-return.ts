/** The paths of the second factor's pages, and where a person who was sent there was going: kept in each link and form up to the last page. */
import { returnPath } from '../../identity/index.ts';
import { type Html, html, type PageCall } from './page.ts';

export const FACTOR_PATH = '/beamway/factor';
export const FACTORS_PATH = '/beamway/factors';
export const RECOVERY_PATH = `${FACTORS_PATH}/recovery`;
export const SCRIPT_PATH = '/beamway/factor.js';

/** From the query of a link, or the field of a form; the list of factors where it is no path of ours. */
export function backOf(call: PageCall): string {
  return returnPath(call.query['return'] ?? call.form['return'], FACTORS_PATH);
}

export function withReturn(path: string, call: PageCall): string {
  const back = backOf(call);
  return back === FACTORS_PATH ? path : `${path}${path.includes('?') ? '&' : '?'}return=${encodeURIComponent(back)}`;
}

export const hidden = (name: string, value: string): Html =>
  html`<input type="hidden" name="${name}" value="${value}">`;

/** What every form of these pages carries. */
export function carried(call: PageCall): Html {
  return html`${hidden('csrf', call.csrf)}${hidden('return', backOf(call))}`;
}
