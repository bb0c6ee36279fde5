// The master's page: a model of the cluster that /live keeps, drawn once a frame.
import {
  ago,
  by,
  clock,
  count,
  eachFrame,
  el,
  follow,
  get,
  go,
  keyed,
  keys,
  listed,
  pairs,
  route,
  say,
  seldom,
  setAttribute,
  setText,
  short,
  showFindings,
  showState,
  showTab,
  some,
  themeSwitch,
  time,
  upkeepFindings,
  words,
  worstFirst,
} from '/page/common.js';
import { Picture, agreementWords, linkState } from '/page/picture.js';
import { AgentList, AgentStory, showContested } from '/page/agents.js';

const kFeedRows = 60;
const kStatuses = ['active', 'migrating', 'unreachable', 'disconnected'];
const model = {
  status: null,
  workers: new Map(),
  feed: [],
  skipped: 0,
  contested: null,
  now: 0,
  at: 0,
  moved: [],
};

// The master's time: as it last said, and what went by here since.
const now = () => model.now + (performance.now() - model.at) * 1000;
const workers = () => [...model.workers.values()];
const agentsOf = (w) => kStatuses.reduce((sum, name) => sum + w[name], 0);

const picture = new Picture(by('picture'), { onOpen: (node) => go('agents', { node }) });
const list = new AgentList();
const story = new AgentStory(now);
const draw = eachFrame(render);

// ---- what the daemon says

function take(part) {
  if (part.whole) {
    model.workers.clear();
    model.feed = [];
    model.moved = [];
  }
  model.status = part.status;
  model.underWay = part.migrations_under_way;
  model.now = part.now;
  model.at = performance.now();
  for (const worker of part.nodes) model.workers.set(worker.node, worker);
  for (const name of part.gone) model.workers.delete(name);
  if (part.nodes.length)
    model.workers = new Map(
      [...model.workers].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })),
    );
  if (part.events.length) happened(part);
  draw();
}

function happened(part) {
  if (!part.whole) {
    model.moved.push(
      ...part.events
        .filter((e) => e.event === 'migrate')
        .map((e) => ({ from: e.from.node, to: e.to.node })),
    );
    model.moved = model.moved.slice(-1_000);
    story.touched(new Set(part.events.map((e) => e.agent)));
    if (list.active) list.pager.refresh();
    if (part.events.some((e) => e.event === 'contested')) readContested();
  }
  model.skipped = part.skipped;
  const fresh = part.events
    .slice(-kFeedRows)
    .reverse()
    .map((e) => ({ ...e, fresh: !part.whole }));
  if (part.skipped) fresh.push({ seq: `s${fresh.at(-1)?.seq}`, skipped: part.skipped, at: part.now });
  model.feed = [...fresh, ...model.feed].slice(0, kFeedRows);
  readNames();
}

const readContested = seldom(1_500, async () => {
  model.contested =
    route().view === 'contested' ? await showContested(by('contested')) : await get('/contested?limit=50');
  draw();
});

// An agent that has just come is told before it has described itself: who has no name yet is looked up, a
// few at a time, three times at most.
const readNames = seldom(1_000, async () => {
  const without = () => model.feed.filter((e) => e.agent && !e.name && (e.asked ?? 0) < 3);
  for (const { agent } of without().slice(0, 5)) {
    const page = await get(`/agents?limit=1&after=${agent - 1}`);
    const name = page.agents[0]?.id === agent ? page.agents[0].info.name : null;
    for (const e of model.feed.filter((one) => one.agent === agent)) {
      e.asked = (e.asked ?? 0) + 1;
      e.name ??= name;
    }
  }
  draw();
  if (without().length) setTimeout(readNames, 1_000);
});

// ---- the verdict: what is wrong, the worst first, and what to do

function findings() {
  const { status: s } = model,
    all = workers(),
    found = [];
  const add = (kind, key, title, text, command) => found.push({ kind, key, title, text, command });
  const names = (few) => listed(few.map((w) => w.node));
  const agents = (few) =>
    some(
      few.reduce((sum, w) => sum + agentsOf(w), 0),
      'agent',
    );
  const their = (few) => (few.length === 1 ? 'its' : 'their');
  if (s.log_error)
    add(
      'bad',
      'log',
      'The log cannot be written',
      `Nothing is decided until it can: ${s.log_error}`,
      'rollcall check',
    );
  if (!s.ready)
    add('bad', 'time', 'The master cannot tell the time yet', 'No worker is let in until it can.');
  const held = all.filter((w) => w.lease.status === 'held');
  if (held.length) {
    add(
      'bad',
      'held',
      `${some(held.length, 'worker')} would expire at once: that waits for your word`,
      `${names(held)} fell silent. ${agents(held)} stay unreachable until the workers are back, or you confirm that they are gone.`,
      'rollcall confirm',
    );
  }
  const lapsed = all.filter((w) => w.lease.status === 'lapsed' && !w.away);
  const first = Math.min(...lapsed.map((w) => w.expires ?? Infinity));
  if (lapsed.length) {
    add(
      'warn',
      'lapsed',
      `${some(lapsed.length, 'worker')} ${lapsed.length === 1 ? 'is' : 'are'} silent: ${names(lapsed)}`,
      `Nobody knows where ${their(lapsed)} ${agents(lapsed)} are. ${first < Infinity ? `From ${clock(first)} on they count as disconnected, unless they are heard of.` : 'Nothing expires while that is frozen.'}`,
      'rollcall nodes',
    );
  }
  const away = all.filter((w) => w.away && w.lease.status !== 'expired');
  if (away.length)
    add(
      'info',
      'away',
      `${names(away)} ${away.length === 1 ? 'was' : 'were'} stopped on purpose`,
      `Its reason: ${words(away[0].away)}. ${agents(away)} last there.`,
    );
  const differ = all.filter((w) => linkState(w) === 'differs');
  if (differ.length)
    add(
      'warn',
      'differ',
      `The tables differ: ${names(differ)}`,
      'Worker and master hold other sessions open; where they differ is being found and mended.',
    );
  const blind = all.filter((w) => w.blind);
  if (blind.length)
    add(
      'warn',
      'blind',
      `${names(blind)} cannot look at ${their(blind)} agents`,
      'The sidecar is connected, but its source does not answer. Its own page says why.',
    );
  const contested = model.contested?.agents.filter((c) => c.contested) ?? [];
  if (contested.length)
    add(
      'warn',
      'contested',
      `${some(contested.length, model.contested.next_after ? 'agent or more' : 'agent', model.contested.next_after ? 'agents or more' : 'agents')} ${contested.length === 1 ? 'is' : 'are'} contested: ${listed(contested.map((c) => c.agent))}`,
      'Perhaps two machines share one key.',
      'rollcall contested',
    );
  const cut = all.filter((w) => !w.connected && w.lease.status === 'valid' && !w.away);
  if (cut.length)
    add(
      'warn',
      'cut',
      `Not connected: ${names(cut)}`,
      `${their(cut) === 'its' ? 'Its lease still runs' : 'Their leases still run'}, so nothing changes for ${their(cut)} agents yet.`,
    );
  const expired = all.filter((w) => w.lease.status === 'expired');
  if (expired.length) {
    add(
      'info',
      'expired',
      `${some(expired.length, 'worker')} expired: ${names(expired)}`,
      `${their(expired) === 'its' ? 'Its' : 'Their'} ${agents(expired)} count as disconnected. If it is gone for good, forget it.`,
      `rollcall forget node ${expired[0].node}`,
    );
  }
  if (s.sink?.mode === 'correct' && s.sink.error)
    add('warn', 'sink', 'Wazuh’s table cannot be corrected', s.sink.error);
  for (const f of s.frozen)
    add(
      'info',
      `frozen${f.node}`,
      `Expiry is frozen until ${clock(f.until)}`,
      f.node ? `Of ${f.node} only.` : 'Of all workers.',
      f.node ? `rollcall unfreeze --node ${f.node}` : 'rollcall unfreeze',
    );
  found.push(...upkeepFindings(s));
  if (!found.length && !all.length)
    add(
      'info',
      'none',
      'No worker has come yet',
      'They are let in as soon as they show their certificate.',
    );
  if (!found.length) add('good', 'good', 'All is well', goodWords(all));
  return worstFirst(found);
}

function goodWords(all) {
  const compared = all.filter((w) => w.agreement === 'equal');
  const oldest = Math.min(...compared.map((w) => w.agreed ?? Infinity));
  if (compared.length < all.length)
    return `${some(all.length, 'worker')} connected; ${count(compared.length)} of them compared their digests so far.`;
  const who = all.length === 1 ? 'The worker agrees' : `All ${count(all.length)} workers agree`;
  return `${who} with the master about who is there; the oldest digest was compared ${ago(oldest, now())}.`;
}

// ---- drawing

function render() {
  if (!model.status) return;
  const { view } = route();
  const s = model.status,
    all = workers();
  document.title = `${s.leases.held.length || s.log_error ? '● ' : ''}rollcall master`;
  setText(by('badge-workers'), all.filter((w) => linkState(w) !== 'agrees').length || '');
  setText(
    by('badge-contested'),
    model.contested?.agents.length
      ? `${model.contested.agents.length}${model.contested.next_after ? '+' : ''}`
      : '',
  );
  const repaired = Object.values(s.repairs).reduce((a, b) => a + b, 0);
  setText(by('badge-repairs'), repaired ? short(repaired) : '');
  list.workers(all.map((w) => w.node));
  if (view === '' || view === 'agent') renderCluster(s, all, repaired);
  if (view === 'workers') renderWorkers(all);
  if (view === 'repairs') renderRepairs(s);
  setText(by('foot'), `rollcall ${s.version} · master ${s.master} · term ${s.term}`);
}

function renderCluster(s, all, repaired) {
  const found = findings();
  showFindings(by('verdict'), found);
  // Said aloud only when it is another than before.
  const loud = found.map((f) => f.title).join('. ');
  if (loud !== model.loud) {
    model.loud = loud;
    say(loud);
  }
  renderCounts(s);
  picture.update(all, s.agents, now());
  if (model.moved.length) picture.fly(model.moved.splice(0));
  const connected = all.filter((w) => w.connected).length;
  setText(by('picture-note'), `${count(connected)} of ${some(all.length, 'worker')} connected`);
  renderFeed();
  const minute = all.reduce((sum, w) => sum + w.came_last_minute, 0);
  const facts = [
    ['Moves in the last minute', count(minute)],
    ['Under way', count(model.underWay)],
    ['In doubt', count(s.in_doubt)],
    ['Repairs since the start', count(repaired)],
    ['Digests', `${count(s.digests.equal)} equal, ${count(s.digests.differ)} differed`],
    [
      'Leases',
      `${count(s.leases.valid)} valid, ${count(s.leases.lapsed)} lapsed, ${count(s.leases.held.length)} held, ${count(s.leases.expired)} expired`,
    ],
  ];
  keyed(
    by('facts'),
    facts,
    ([name]) => name,
    ([name]) => el('span', {}, `${name} `, el('b')),
    (node, [, value]) => setText(node.querySelector('b'), value),
  );
}

function renderCounts(s) {
  const unknown = s.agents - s.active - s.migrating - s.unreachable - s.disconnected;
  const rows = [['', 'agents', s.agents], ...kStatuses.map((name) => [name, name, s[name]])];
  if (unknown > 0) rows.push(['unknown', 'unknown', unknown]);
  keyed(
    by('counts'),
    rows,
    ([, name]) => name,
    ([status, name]) =>
      el(
        'a',
        {
          class: 'count',
          href: `#/agents${status ? `?status=${status}` : ''}`,
        },
        el('span', { class: 'n' }),
        el(
          'span',
          { class: 'k' },
          status ? el('span', { class: 'dot', 'data-status': status, 'aria-hidden': 'true' }) : null,
          name,
        ),
      ),
    (node, [status, , n]) => {
      setText(node.querySelector('.n'), count(n));
      setAttribute(node, 'data-alert', status === 'unreachable' && n > 0);
    },
  );
}

const kSaid = {
  connect: (e) => [` connected to ${e.to.node}`],
  disconnect: (e) => [` is gone from ${e.from?.node ?? e.to.node}`, e.reason ? `: ${words(e.reason)}` : ''],
  migrate: (e) => [` moved ${e.from.node} → ${e.to.node}`],
  unreachable: (e) => [` is unreachable: ${e.to.node} is silent`],
  reachable: (e) => [` is reachable again on ${e.to.node}`],
  contested: (e) => [` is contested: ${e.from?.node ?? '?'} and ${e.to.node} claim it`],
};

function feedRow(e) {
  if (e.skipped)
    return el(
      'li',
      {},
      time(e.at),
      el('span', { class: 'what muted', text: `${some(e.skipped, 'more change')} at once` }),
    );
  return el(
    'li',
    { 'data-event': e.event, class: e.fresh ? 'new' : '' },
    time(e.at),
    el(
      'span',
      { class: 'what' },
      el('a', { href: `#/agent/${e.agent}`, text: e.name ?? `agent ${e.agent}` }),
      ...kSaid[e.event](e),
    ),
  );
}

function renderFeed() {
  const feed = by('feed');
  if (!model.feed.length) {
    if (!feed.querySelector('.none'))
      feed.replaceChildren(el('li', { class: 'none', text: 'Nothing happened since the log began.' }));
    return;
  }
  feed.querySelector('.none')?.remove();
  // Who reads further down is not moved.
  const top = feed.scrollTop,
    before = feed.scrollHeight;
  keyed(
    feed,
    model.feed,
    (e) => e.seq,
    feedRow,
    (row, e) => e.name && setText(row.querySelector('a'), e.name),
  );
  if (top > 8) feed.scrollTop = top + feed.scrollHeight - before;
  const minute = now() - 60e6;
  const fresh = model.feed.filter((e) => e.at > minute && !e.skipped).length;
  setText(
    by('rate'),
    fresh >= kFeedRows - 1 ? 'very busy' : fresh ? `${count(fresh)} in the last minute` : 'quiet',
  );
}

// ---- the workers as a table

const kColumns = [
  ['Worker', (w) => w.node],
  ['Agents', (w) => agentsOf(w), 'n'],
  ['By status', null],
  ['Lease', (w) => ['held', 'expired', 'lapsed', 'valid'].indexOf(w.lease.status)],
  ['Digest', (w) => (w.agreement === 'differs' ? 0 : (w.agreed ?? 1))],
  ['Last heard', (w) => w.heard ?? 0],
  ['Came / left', (w) => -w.came_last_minute - w.left_last_minute, 'n'],
  ['Address', (w) => w.address ?? ''],
];
const order = { column: 0, down: false };

function workersHead() {
  by('workers')
    .parentElement.querySelector('thead')
    .append(
      el(
        'tr',
        {},
        ...kColumns.map(([text, value, cell], i) =>
          el(
            'th',
            { scope: 'col', class: cell, 'aria-sort': i === 0 ? 'ascending' : null },
            value ? el('button', { type: 'button', text, onclick: () => sortBy(i) }) : text,
          ),
        ),
      ),
    );
}
function sortBy(column) {
  order.down = order.column === column && !order.down;
  order.column = column;
  for (const [i, head] of by('workers').parentElement.querySelectorAll('th').entries()) {
    setAttribute(head, 'aria-sort', i === column ? (order.down ? 'descending' : 'ascending') : null);
  }
  draw();
}
function compare(a, b) {
  const [x, y] = [a, b].map(kColumns[order.column][1]);
  const by_value = typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y;
  return (order.down ? -by_value : by_value) || a.node.localeCompare(b.node, 'en', { numeric: true });
}
function leaseWords(w) {
  const frozen = w.frozen_until ? `, frozen until ${clock(w.frozen_until)}` : '';
  if (w.lease.status === 'valid') return (w.connected ? 'runs' : 'runs, not connected') + frozen;
  if (w.lease.status === 'held') return 'waits for rollcall confirm';
  const since = ` since ${clock(w.lease.since)}`;
  if (w.lease.status === 'expired') return `expired${since}`;
  return `${w.away ? `away (${words(w.away)})` : 'lapsed'}${since}${w.expires ? `, expires ${clock(w.expires)}` : ''}${frozen}`;
}
function renderWorkers(all) {
  keyed(
    by('workers'),
    [...all].sort(compare),
    (w) => w.node,
    (w) =>
      el(
        'tr',
        {},
        el(
          'td',
          {},
          el('a', { class: 'row', href: `#/agents?node=${encodeURIComponent(w.node)}`, text: w.node }),
        ),
        el('td', { class: 'n' }),
        el('td', { class: 'wide' }, el('div', { class: 'bar' })),
        el('td', { 'data-label': 'Lease' }),
        el('td', { 'data-label': 'Digest' }),
        el('td', { 'data-label': 'Heard' }),
        el('td', { class: 'n', 'data-label': 'Came / left' }),
        el('td', { class: 'muted' }),
      ),
    fillWorker,
  );
}
function fillWorker(row, w) {
  const [, agents, bar, lease, digest, heard, moves, address] = row.children;
  const state = linkState(w);
  setAttribute(row, 'data-trouble', state !== 'agrees');
  setText(agents, count(agentsOf(w)));
  const parts = kStatuses.filter((name) => w[name] > 0);
  keyed(
    bar.firstChild,
    parts,
    (name) => name,
    (name) => el('i', { 'data-status': name }),
    (node, name) => (node.style.flexGrow = w[name]),
  );
  const text = parts.map((name) => `${count(w[name])} ${name}`).join(', ') || 'no agents';
  for (const name of ['aria-label', 'title']) setAttribute(bar.firstChild, name, text);
  setAttribute(bar.firstChild, 'role', 'img');
  setText(lease, leaseWords(w));
  setAttribute(
    lease,
    'class',
    w.lease.status === 'valid' ? null : w.lease.status === 'held' ? 'bad' : 'warn',
  );
  setText(digest, agreementWords(w, now()));
  setAttribute(
    digest,
    'class',
    w.agreement === 'differs' ? 'bad' : w.agreement === 'equal' ? 'good' : 'muted',
  );
  setText(heard, w.connected ? (w.blind ? 'connected, but blind' : ago(w.heard, now())) : 'not connected');
  setText(moves, `${count(w.came_last_minute)} / ${count(w.left_last_minute)}`);
  setText(address, [w.address, w.software].filter(Boolean).join(' · ') || '–');
}

const sentence = (name) => words(name).replace(/^./, (c) => c.toUpperCase());
function renderRepairs(s) {
  pairs(
    by('repairs'),
    Object.entries(s.repairs).map(([name, n]) => [sentence(name), count(n), n === 0]),
  );
  pairs(by('digests'), [
    ['Digests that were equal', count(s.digests.equal)],
    ['Digests that differed', count(s.digests.differ), s.digests.differ === 0],
    ['Full inventories', count(s.inventories.full)],
    ['Partial inventories', count(s.inventories.partial)],
    ['Inventories refused or put off', count(s.inventories.refused), s.inventories.refused === 0],
  ]);
  pairs(
    by('rules'),
    Object.entries(s.decisions).map(([name, n]) => [sentence(name), count(n)]),
  );
}

// ---- where one is

const kViews = {
  '': 'cluster',
  workers: 'workers',
  agents: 'agents',
  contested: 'contested',
  repairs: 'repairs',
};
let behind = '#/'; // what lies behind an agent's story
function moved() {
  const { view, id, query } = route();
  if (view === 'agent' && id) {
    story.open(id, behind);
    if (!document.querySelector('main > section:not([hidden])')) showView('');
    return;
  }
  story.close();
  behind = location.hash || '#/';
  showView(view in kViews ? view : '', query);
}
function showView(view, query = new URLSearchParams()) {
  for (const name of Object.values(kViews)) by(`view-${name}`).hidden = name !== kViews[view];
  showTab(view);
  if (view === 'agents') list.open(query, now);
  else list.close();
  if (view === 'contested') readContested();
  draw();
}

function search() {
  const q = by('q');
  let waits = 0;
  const typed = () => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      const { view, query } = route();
      const kept = view === 'agents' ? Object.fromEntries(query) : {};
      if (q.value.trim() || view === 'agents') go('agents', { ...kept, q: q.value.trim() });
    }, 150);
  };
  q.addEventListener('input', typed);
  by('search').addEventListener('submit', (event) => {
    event.preventDefault();
    clearTimeout(waits);
    list.alone = q.value.trim();
    const before = location.hash;
    go('agents', { q: q.value.trim() });
    if (location.hash === before) list.pager.begin();
  });
}

const kLegend = [
  ['active', 'active'],
  ['migrating', 'migrating'],
  ['unreachable', 'unreachable'],
  ['disconnected', 'disconnected (its worker expired)'],
];
by('legend').append(
  ...kLegend.map(([status, text]) =>
    el('li', {}, el('span', { class: 'dot', 'data-status': status, 'aria-hidden': 'true' }), text),
  ),
  el('li', {}, el('span', { class: 'move', 'aria-hidden': 'true' }), 'an agent on its way'),
);
workersHead();
themeSwitch();
search();
keys(() => (story.drawer.open ? (location.hash = behind) : by('q').value && by('q').blur()));
addEventListener('hashchange', moved);
moved();
setInterval(draw, 1_000); // what is so and so long ago
setInterval(() => document.hidden || readContested(), 10_000);
setInterval(() => document.hidden || (list.active && list.pager.refresh()), 5_000);
setInterval(() => document.hidden || (story.id !== null && story.refresh()), 5_000);
readContested();
follow(take, showState());
