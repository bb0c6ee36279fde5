// What both daemons' pages share: making elements, words and times, asking the daemon, following its
// stream, and the routes behind the '#'. Whatever an agent says of itself is set as text, never as markup.

// ---- elements

const kProperties = new Set(['value', 'disabled', 'hidden', 'tabIndex', 'onclick', 'oninput', 'onchange']);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'text') node.textContent = value;
    else if (kProperties.has(name)) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}
export const by = (id) => document.getElementById(id);

// Both touch the page only if something is another than before.
export function setText(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Makes `parent` hold one child for each item, in their order: those that are there are kept.
export function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(items.map((item) => String(key(item))));
  for (const [name, child] of old) if (!wanted.has(name)) child.remove();
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = old.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    update?.(child, item);
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

// The rows of a table of agents, or `none` said in one over all columns.
export function agentRows(body, agents, none, make, update) {
  if (!agents.length) {
    const columns = body.parentElement.querySelectorAll('thead th').length;
    body.replaceChildren(el('tr', {}, el('td', { class: 'none', colspan: columns, text: none })));
    return;
  }
  body.querySelector('.none')?.closest('tr').remove();
  keyed(body, agents, (agent) => agent.id, make, update);
}

// ---- words

const whole = new Intl.NumberFormat('en-GB');
export const count = (n) => (n === null || n === undefined ? '–' : whole.format(n));
export const some = (n, one, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;
export function short(n) {
  if (n < 10_000) return count(n);
  return n < 1_000_000 ? `${+(n / 1000).toPrecision(3)}k` : `${+(n / 1e6).toPrecision(3)}M`;
}
export function length(us) {
  if (us === null || us === undefined) return '–';
  const s = us / 1e6;
  if (s < 0.001) return `${Math.round(us)} µs`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s < 10 ? +s.toFixed(1) : Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}
// How long ago, in whole seconds: it is shown again and again.
export function lengthAgo(us) {
  if (us === null || us === undefined) return '–';
  const s = Math.max(0, Math.round(us / 1e6));
  return s < 2 ? 'just now' : `${length(s * 1e6)} ago`;
}
export const ago = (us, now) => lengthAgo(us === null || us === undefined ? null : now - us);
const kClock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false };
export function clock(us) {
  if (us === null || us === undefined) return '–';
  const at = new Date(us / 1000);
  const time = at.toLocaleTimeString('en-GB', kClock);
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })}, ${time}`;
}
export const exact = (us) => new Date(us / 1000).toISOString();
export function time(us) {
  return us === null || us === undefined
    ? el('span', { text: '–' })
    : el('time', { datetime: exact(us), title: `${exact(us)} (UTC)`, text: clock(us) });
}
export const words = (text) => String(text ?? '–').replaceAll('_', ' ');
export function listed(names, most = 4) {
  if (names.length <= most) return names.join(', ');
  return `${names.slice(0, most - 1).join(', ')} and ${names.length - most + 1} more`;
}
export function status(name) {
  return el(
    'span',
    { class: 'status' },
    el('span', { class: 'dot', 'data-status': name, 'aria-hidden': 'true' }),
    words(name),
  );
}
export function pairs(list, rows) {
  keyed(
    list,
    rows.flatMap(([name]) => [
      { tag: 'dt', name },
      { tag: 'dd', name },
    ]),
    ({ tag, name }) => tag + name,
    ({ tag, name }) => el(tag, { text: tag === 'dt' ? name : '' }),
  );
  for (const [i, [, value, zero]] of rows.entries()) {
    setText(list.children[2 * i + 1], value);
    setAttribute(list.children[2 * i + 1], 'data-zero', zero === undefined ? null : zero);
  }
}
// One line of what there is to know: { kind, key, title, text, command, small }.
export function showFindings(box, findings) {
  const marks = { good: '✓', info: 'i', warn: '!', bad: '!' };
  keyed(
    box,
    findings,
    (f) => f.key,
    () =>
      el(
        'div',
        { class: 'finding' },
        el('span', { class: 'mark', 'aria-hidden': 'true' }),
        el('div', {}, el('b'), el('p')),
        el('code'),
      ),
    (node, f) => {
      setAttribute(node, 'data-kind', f.kind);
      setText(node.querySelector('.mark'), marks[f.kind]);
      setText(node.querySelector('b'), f.title);
      setText(node.querySelector('p'), f.text ?? '');
      node.querySelector('p').hidden = !f.text;
      setText(node.querySelector('code'), f.command ?? '');
      node.querySelector('code').hidden = !f.command;
    },
  );
}
// The worst first.
const kKinds = ['bad', 'warn', 'info', 'good'];
export function worstFirst(findings) {
  return findings.sort((a, b) => kKinds.indexOf(a.kind) - kKinds.indexOf(b.kind));
}

// What there is to say of /status about certificates and about what was read anew, on both pages. The days
// are those at which the log warns, too.
export function upkeepFindings({ certificates, reload }) {
  const found = [];
  const authorities = certificates.filter((c) => !c.names.length);
  for (const c of certificates.filter((one) => one.days_left < 30)) {
    const own = c.names[0];
    const what = own ? `The certificate of ${own}` : `The certificate of the CA (${c.subject})`;
    const when =
      c.days_left < 0
        ? 'has expired'
        : c.days_left < 1
          ? 'expires within a day'
          : `expires within ${some(c.days_left + 1, 'day')}`;
    const change =
      authorities.length > 1
        ? 'When all nodes have a certificate of the other CA, end the change.'
        : 'A change of the CA takes no restart (docs/operations.md).';
    found.push({
      kind: c.days_left < 0 ? 'bad' : c.days_left < 7 ? 'warn' : 'info',
      key: `certificate${c.serial}`,
      title: `${what} ${when}`,
      text: `${c.file}: ${c.days_left < 0 ? 'no connection can be made with it since' : 'it is valid until'} ${clock(c.not_after)}. ${own ? 'Renew it where the CA is, and copy both files here; no restart is needed.' : change}`,
      command: own
        ? `rollcall pki renew ${own}`
        : authorities.length > 1
          ? 'rollcall pki change-ca --finish'
          : 'rollcall pki change-ca',
    });
  }
  if (reload.error)
    found.push({
      kind: 'warn',
      key: 'reload',
      title: 'What was changed is wrong, and everything stays as it was',
      text: reload.error,
      command: 'rollcall check',
    });
  if (reload.needs_restart.length)
    found.push({
      kind: 'info',
      key: 'restart',
      title: 'The configuration was changed and needs a restart',
      text: `${listed(reload.needs_restart)}: as before until then.`,
    });
  return found;
}

export function say(text) {
  setText(by('announce'), text);
}

// ---- asking the daemon

let token = sessionStorage.getItem('rollcall-token');
let asking = null;

// [inspect] read_token: reading asks for it too. It is kept for this tab only.
function askForToken(why) {
  asking ??= new Promise((done) => {
    const input = el('input', { type: 'password', id: 'token', autocomplete: 'off' });
    const dialog = el(
      'dialog',
      { 'aria-labelledby': 'token-title' },
      el('h2', { id: 'token-title', text: 'This daemon asks who reads' }),
      el('p', { text: why }),
      el('label', { for: 'token', text: 'The token' }),
      input,
      el('button', { type: 'button', text: 'Read' }),
    );
    const end = () => {
      token = input.value.trim();
      sessionStorage.setItem('rollcall-token', token);
      asking = null;
      dialog.remove();
      done();
    };
    dialog.querySelector('button').onclick = end;
    input.addEventListener('keydown', (event) => event.key === 'Enter' && end());
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

async function ask(path, options = {}) {
  for (;;) {
    const shown = token;
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(path, { ...options, headers, cache: 'no-store' });
    if (response.status !== 401 && response.status !== 403) return response;
    const { error = '' } = await response.json().catch(() => ({}));
    const file = /\/\S+$/.exec(error)?.[0] ?? 'its token file';
    const why =
      response.status === 401
        ? `Who reads shows the token in ${file}.`
        : `This is not the token in ${file}.`;
    // Another one may have been given meanwhile.
    if (shown === token) await askForToken(why);
  }
}
// The JSON of a page; throws what the daemon says is wrong.
export async function get(path, signal) {
  const response = await ask(path, { signal });
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.error), { status: response.status });
  return body;
}

async function* eventsOf(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const event = {};
      for (const line of text.slice(0, end).split('\n')) {
        const colon = line.indexOf(': ');
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
      }
      if (event.event) yield event;
    }
  }
}

function openLive() {
  const cut = new AbortController();
  const response = ask('/live', { signal: cut.signal, headers: { Accept: 'text/event-stream' } });
  response.catch(() => {}); // whoever awaits it hears of it
  return { cut, response };
}
// Asked for before anything else of the page is there: it takes as long.
let opened = openLive();

// Follows /live for as long as the page is open. `onNow` gets each part, `onState` 'live' or 'cut' and why:
// also while the stream goes on and says that the daemon is busy.
export async function follow(onNow, onState) {
  const kSilenceMs = 6_000,
    kAgainMs = [300, 1_000, 2_000, 3_000];
  for (let failed = 0; ; ++failed) {
    const { cut, response: answer } = opened ?? openLive();
    opened = null;
    let watch = 0;
    const heard = () => {
      clearTimeout(watch);
      // Who is asked for the token takes longer.
      watch = setTimeout(() => (asking ? heard() : cut.abort()), kSilenceMs);
    };
    heard();
    let why = 'it ended the stream';
    try {
      const response = await answer;
      if (!response.ok) throw new Error((await response.json()).error);
      for await (const event of eventsOf(response.body, heard)) {
        if (event.event === 'closed') {
          why = JSON.parse(event.data).why;
          break;
        }
        failed = 0;
        const part = JSON.parse(event.data);
        if (event.event === 'busy') {
          onState('cut', part.why);
          continue;
        }
        onState('live');
        queueMicrotask(() => onNow(part)); // what fails there is no fault of the stream
      }
    } catch (error) {
      why = cut.signal.aborted
        ? 'it said nothing for 6 s'
        : error instanceof TypeError
          ? 'it does not answer'
          : error.message;
    }
    clearTimeout(watch);
    cut.abort();
    onState('cut', why);
    await new Promise((done) => setTimeout(done, kAgainMs[Math.min(failed, kAgainMs.length - 1)]));
  }
}

// What the head of the page says of the stream.
export function showState() {
  let since = null,
    shown = '';
  return (state, why) => {
    if (state === shown && state === 'live') return;
    shown = state;
    document.body.dataset.state = state;
    by('live').dataset.state = state;
    setText(by('live'), state === 'live' ? 'Live' : 'Cut off');
    const cut = by('cut');
    if (state === 'live') {
      since = null;
      cut.hidden = true;
      return;
    }
    since ??= Date.now() * 1000;
    setText(
      cut,
      `Cut off from the daemon since ${clock(since)}: ${why}. What you see is how it stood then; ` +
        'trying again.',
    );
    cut.hidden = false;
  };
}

// Calls `draw` once a frame at most, however often it is asked for; also while the page is hidden, so
// that it is right when somebody looks again.
export function eachFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    const run = () => {
      waits = false;
      draw();
    };
    if (document.hidden) setTimeout(run, 500);
    else requestAnimationFrame(run);
  };
}
// Calls `work` soon, never twice at a time, and not more often than every `everyMs`.
export function seldom(everyMs, work) {
  let runs = false,
    again = false,
    last = -Infinity;
  const run = async () => {
    if (runs) {
      again = true;
      return;
    }
    runs = true;
    const wait = last + everyMs - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    last = performance.now();
    again = false;
    try {
      await work();
    } catch (error) {
      // That the daemon does not answer the stream says already, and when it is back.
      if (!(error instanceof TypeError) && error.status === undefined) throw error;
    } finally {
      runs = false;
    }
    if (again) run();
  };
  return run;
}

// ---- light and dark

export function themeSwitch() {
  const button = by('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const stored = () => localStorage.getItem('rollcall-theme');
  const now = () => stored() ?? (dark.matches ? 'dark' : 'light');
  const show = () => {
    if (stored()) document.documentElement.dataset.theme = stored();
    const next = now() === 'dark' ? 'light' : 'dark';
    setText(button, next === 'dark' ? 'Dark' : 'Light');
    setAttribute(button, 'aria-label', `Switch to ${next} colours`);
    document.dispatchEvent(new Event('theme'));
  };
  button.onclick = () => {
    localStorage.setItem('rollcall-theme', now() === 'dark' ? 'light' : 'dark');
    show();
  };
  dark.addEventListener('change', show);
  show();
}

// ---- routes

// '#/agents?status=active' -> { view: 'agents', id: null, query }; '#/agent/7' -> { view: 'agent', id: '7' }.
export function route() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [view = '', id = null] = path.split('/').map(decodeURIComponent);
  return { view, id, query: new URLSearchParams(query) };
}
export function go(view, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const text = new URLSearchParams(given).toString();
  location.hash = `/${view}${text ? `?${text}` : ''}`;
}
export function showTab(view) {
  for (const link of by('tabs').querySelectorAll('a')) {
    setAttribute(link, 'aria-current', link.hash === `#/${view}` ? 'page' : null);
  }
}

// Keys: '/' to the search, Escape out of what is open.
export function keys(onEscape) {
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, select, textarea, dialog');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      by('q').focus();
      by('q').select();
    }
    if (event.key === 'Escape' && !event.target.closest('dialog')) onEscape(event);
  });
}

// What slides in from the right. The focus goes there, and back when it closes.
export class Drawer {
  constructor(onClose) {
    this.node = by('drawer');
    this.onClose = onClose;
    this.back = null;
  }
  get open() {
    return !this.node.hidden;
  }
  show(...content) {
    const first = this.node.hidden;
    if (first) this.back = document.activeElement;
    this.node.replaceChildren(...content);
    this.node.hidden = false;
    if (first) this.node.focus();
  }
  head(title, ...beside) {
    return el(
      'header',
      {},
      el('div', {}, el('h2', { id: 'drawer-title', text: title }), ...beside),
      el('button', { class: 'plain', type: 'button', text: 'Close', onclick: () => this.onClose() }),
    );
  }
  hide() {
    if (this.node.hidden) return;
    this.node.hidden = true;
    this.node.replaceChildren();
    if (this.back?.isConnected) this.back.focus();
  }
}

// A page of a list, with the way to the next one and back. `fetchPage(after)` gives { rows, next }.
export class Pager {
  constructor(box, fetchPage, showRows) {
    this.places = [0];
    this.next = null;
    this.fetchPage = fetchPage;
    this.showRows = showRows;
    this.note = el('span', { role: 'status' });
    this.before = el('button', { type: 'button', text: 'Previous', onclick: () => this.turn(-1) });
    this.behind = el('button', { type: 'button', text: 'Next', onclick: () => this.turn(1) });
    box.append(this.note, this.before, this.behind);
    this.refresh = seldom(700, () => this.load());
  }
  begin() {
    this.places = [0];
    return this.load();
  }
  turn(by) {
    if (by > 0 && this.next !== null) this.places.push(this.next);
    if (by < 0 && this.places.length > 1) this.places.pop();
    return this.load();
  }
  async load() {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const page = await this.fetchPage(this.places.at(-1), signal);
      if (signal.aborted) return;
      this.next = page.next;
      this.showRows(page);
      setText(this.note, page.note);
      this.before.disabled = this.places.length === 1;
      this.behind.disabled = page.next === null;
    } catch (error) {
      if (!signal.aborted) setText(this.note, `Could not be read: ${error.message}`);
    }
  }
}
