// The master's agents: the list, which the daemon searches and pages, and one agent's story.
import {
  Drawer,
  Pager,
  agentRows,
  ago,
  by,
  clock,
  count,
  el,
  get,
  go,
  keyed,
  length,
  seldom,
  setAttribute,
  setText,
  some,
  status,
  time,
  words,
} from '/page/common.js';

const kPageRows = 50;
const kStatuses = ['active', 'migrating', 'unreachable', 'disconnected', 'unknown'];

const named = (agent) => agent.info?.name ?? `agent ${agent.id}`;
const system = (info) => [info.os_name, info.os_version].filter(Boolean).join(' ') || '–';

export class AgentList {
  constructor() {
    this.query = {};
    by('agents')
      .parentElement.querySelector('thead')
      .append(
        el(
          'tr',
          {},
          ...['Agent', 'Id', 'Status', 'Worker', 'Address', 'System', 'Last heard'].map((text) =>
            el('th', { scope: 'col', text }),
          ),
        ),
      );
    this.chips = new Map(
      ['', ...kStatuses].map((name) => [
        name,
        el(
          'button',
          {
            class: 'chip',
            type: 'button',
            'aria-pressed': 'false',
            onclick: () => this.go({ status: name }),
          },
          ...(name ? [status(name)] : ['All']),
        ),
      ]),
    );
    this.worker = el('select', {
      'aria-label': 'Worker',
      onchange: () => this.go({ node: this.worker.value }),
    });
    by('filters').append(...this.chips.values(), this.worker);
    this.pager = new Pager(
      by('pager'),
      (after, signal) => this.fetch(after, signal),
      (page) => this.show(page),
    );
    this.active = false;
    this.alone = null; // what was searched with Enter
  }

  go(change) {
    go('agents', { ...this.query, ...change });
  }

  // Shows what the address asks for.
  open(query, now) {
    this.now = now;
    this.active = true;
    this.query = Object.fromEntries(query);
    for (const [name, chip] of this.chips)
      setAttribute(chip, 'aria-pressed', (this.query.status ?? '') === name);
    this.showWorkers();
    if (document.activeElement !== by('q')) by('q').value = this.query.q ?? '';
    return this.pager.begin();
  }
  close() {
    this.active = false;
  }

  workers(names) {
    if (this.names?.join() === names.join()) return;
    this.names = names;
    this.showWorkers();
  }
  showWorkers() {
    const wanted = this.query.node ?? '';
    const names = [...new Set([...(this.names ?? []), ...(wanted ? [wanted] : [])])].sort();
    keyed(
      this.worker,
      ['', ...names],
      (name) => `n${name}`,
      (name) => el('option', { value: name, text: name || 'All workers' }),
    );
    this.worker.value = wanted;
  }

  async fetch(after, signal) {
    const asked = new URLSearchParams({ limit: kPageRows, after });
    for (const name of ['q', 'status', 'node']) if (this.query[name]) asked.set(name, this.query[name]);
    const page = await get(`/agents?${asked}`, signal);
    const shown = page.agents.length;
    const filtered = ['q', 'status', 'node'].some((name) => this.query[name]);
    return {
      rows: page.agents,
      next: page.next_after,
      note: filtered
        ? `${some(shown, 'agent')} on this page, of ${count(page.total)} that are known`
        : `${some(shown, 'agent')} on this page, of ${count(page.total)}`,
    };
  }

  show({ rows }) {
    this.openAlone(rows);
    const what = this.query.q
      ? `No agent has “${this.query.q}” in its id, name or address.`
      : 'No agent is like that.';
    agentRows(by('agents'), rows, what, () => this.row(), (row, agent) => this.fill(row, agent));
  }

  // Whoever pressed Enter wants the agent itself, if what was typed names only one.
  openAlone(rows) {
    if (this.alone === null || this.alone !== (this.query.q ?? '')) return;
    this.alone = null;
    if (rows.length === 1) location.hash = `/agent/${rows[0].id}`;
  }

  row() {
    return el(
      'tr',
      {},
      el('td', {}, el('a', { class: 'row' })),
      el('td', { 'data-label': 'Id' }),
      el('td', {}),
      el('td', { 'data-label': 'on' }),
      el('td', { 'data-label': 'at' }),
      el('td', { class: 'wide' }),
      el('td', { 'data-label': 'heard' }),
    );
  }

  fill(row, agent) {
    const [name, id, state, node, ip, os, heard] = row.children;
    setText(name.firstChild, named(agent));
    setAttribute(name.firstChild, 'href', `#/agent/${agent.id}`);
    setText(id, agent.id);
    const look = agent.status + agent.contested + agent.in_doubt + agent.reason;
    if (state.dataset.look !== look) {
      state.dataset.look = look;
      state.replaceChildren(status(agent.status));
      if (agent.reason) state.append(el('span', { class: 'muted', text: ` ${words(agent.reason)}` }));
      if (agent.contested) state.append(el('b', { class: 'warn', text: ' contested' }));
      else if (agent.in_doubt) state.append(el('span', { class: 'warn', text: ' in doubt' }));
    }
    setText(node, agent.node ?? '–');
    setText(ip, agent.info.ip ?? '–');
    setText(os, system(agent.info));
    setText(heard, agent.evidence_hi ? ago(agent.evidence_hi, this.now()) : '–');
  }
}

// One agent: what it is shown as, why, and how it came to that.
export class AgentStory {
  constructor(now) {
    this.now = now;
    this.id = null;
    this.drawer = new Drawer(() =>
      history.length > 1 && this.from !== null ? (location.hash = this.from) : go(''),
    );
    this.from = null;
    this.older = [];
    this.refresh = seldom(600, () => this.load());
  }

  open(id, from) {
    if (this.id === id) return;
    this.id = id;
    this.from = from;
    this.older = [];
    this.drawer.show(this.drawer.head(`Agent ${id}`), el('p', { class: 'muted', text: 'Reading …' }));
    this.load();
  }
  close() {
    this.id = null;
    this.drawer.hide();
  }
  // Something happened to these agents.
  touched(ids) {
    if (this.id !== null && ids.has(Number(this.id))) this.refresh();
  }

  async load() {
    const { id } = this;
    if (id === null) return;
    const safe = encodeURIComponent(id);
    try {
      const [agent, why, story, moves] = await Promise.all([
        get(`/agents/${safe}`),
        get(`/agents/${safe}/why`),
        get(`/agents/${safe}/history?limit=30`),
        get(`/agents/${safe}/migrations?limit=10`),
      ]);
      if (this.id === id) this.show(agent, why, story, moves);
    } catch (error) {
      if (this.id !== id) return;
      this.drawer.show(
        this.drawer.head(`Agent ${id}`),
        el('p', { class: 'why', text: `${error.message}.` }),
      );
    }
  }

  show(agent, why, story, moves) {
    const scrolled = this.drawer.node.scrollTop;
    const held = this.drawer.node.contains(document.activeElement)
      ? document.activeElement.dataset.hold
      : null;
    const head = this.drawer.head(
      named(agent),
      el(
        'div',
        {},
        status(agent.status),
        el('span', { class: 'muted', text: ` · id ${agent.id}${agent.node ? ` · ${agent.node}` : ''}` }),
      ),
    );
    head.querySelector('button').dataset.hold = 'close';
    const beside = [];
    if (agent.contest) beside.push(...contestBlock(agent.contest));
    this.drawer.show(
      head,
      el('p', { class: 'why', id: 'why', text: why.text }),
      el('dl', { class: 'grid' }, ...facts(agent)),
      ...beside,
      ...this.timeline(story),
      ...moved(moves),
    );
    this.drawer.node.scrollTop = scrolled;
    if (held) this.drawer.node.querySelector(`[data-hold="${held}"]`)?.focus();
  }

  timeline(story) {
    const known = new Set(story.decisions.map((d) => d.number));
    const all = [...story.decisions, ...this.older.filter((d) => !known.has(d.number))];
    const next = this.older.length ? this.olderNext : story.next_before;
    const list = el('ol', { class: 'timeline', id: 'timeline' }, ...all.map(decision));
    const end =
      next === null
        ? el('p', {
            class: 'muted',
            text: story.complete
              ? 'That is all that there ever was.'
              : `What was decided before ${clock(story.since)} is in the log only.`,
          })
        : el('button', {
            class: 'plain',
            type: 'button',
            'data-hold': 'older',
            text: 'Show older decisions',
            onclick: ({ currentTarget }) => this.loadOlder(next, currentTarget),
          });
    return [el('h3', { text: 'What was decided, the newest first' }), list, end];
  }
  async loadOlder(before, button) {
    const { id } = this;
    try {
      const page = await get(`/agents/${encodeURIComponent(id)}/history?limit=50&before=${before}`);
      // Another agent's story may be open by now.
      if (this.id !== id) return;
      const known = new Set(this.older.map((d) => d.number));
      this.older.push(...page.decisions.filter((d) => !known.has(d.number)));
      this.olderNext = page.next_before;
      this.refresh();
    } catch (error) {
      setText(button, `Show older decisions (they could not be read: ${error.message})`);
    }
  }
}

function decision(d) {
  return el(
    'li',
    { 'data-accepted': String(d.accepted), 'data-event': d.event },
    time(d.at),
    ' ',
    el('b', { text: `${words(d.event)} on ${d.node}` }),
    el('span', { class: 'rule', text: `${d.accepted ? 'taken' : 'refused'}: ${words(d.rule)}` }),
    el('p', { text: d.text }),
  );
}

function facts(agent) {
  const { info } = agent;
  const rows = [
    [
      'Worker',
      agent.node &&
        `${agent.node}, lease ${words(agent.lease)}${agent.node_connected ? '' : ', not connected'}`,
    ],
    ['Last heard', agent.evidence_hi && clock(agent.evidence_hi)],
    ['Offered until', agent.offered_until && clock(agent.offered_until)],
    ['Address', info.ip],
    ['Wazuh', info.version],
    ['System', system(info)],
    ['Group', info.group],
    ['Stay began', agent.version && clock(agent.version.epoch)],
    ...Object.entries(info.labels ?? {}).map(([name, value]) => [`Label ${name}`, value]),
  ];
  return rows
    .filter(([, value]) => value)
    .flatMap(([name, value]) => [el('dt', { text: name }), el('dd', { text: value })]);
}

function moved(moves) {
  if (!moves.migrations.length) return [];
  return [
    el('h3', { text: 'Moves between workers' }),
    el(
      'ul',
      { class: 'moves' },
      ...moves.migrations.map((m) =>
        el(
          'li',
          {},
          time(m.taken ?? m.offered),
          ` ${m.from?.node ?? '?'} → ${m.to?.node ?? 'nobody yet'}`,
          el('span', {
            class: 'muted',
            text: `${m.gap_us === null ? '' : `, nowhere for ${length(m.gap_us)}`}${m.end ? `, ${words(m.end)}` : ', under way'}`,
          }),
        ),
      ),
    ),
  ];
}

export function contestBlock(contest) {
  const heads = ['Worker', 'Its address', 'The agent’s address', 'Heard up to', ''];
  return [
    el('h3', {
      class: contest.contested ? 'warn' : '',
      text: `${some(contest.moves.length, 'move')} in the last hour${contest.contested ? ': contested' : contest.flapping ? ': flapping' : ''}`,
    }),
    el(
      'table',
      { class: 'list claims' },
      el('thead', {}, el('tr', {}, ...heads.map((text) => el('th', { scope: 'col', text })))),
      el(
        'tbody',
        {},
        ...contest.workers.map((w) =>
          el(
            'tr',
            {},
            el('td', { text: w.node }),
            el('td', { 'data-label': 'address', text: w.address?.replace(/:\d+$/, '') ?? 'not connected' }),
            el('td', { 'data-label': 'agent at', text: w.agent_ip ?? '–' }),
            el('td', { 'data-label': 'heard' }, time(w.contact)),
            el('td', { text: w.on_top ? 'has it' : '' }),
          ),
        ),
      ),
    ),
  ];
}

export async function showContested(box) {
  const page = await get('/contested?limit=50');
  if (!page.agents.length) {
    box.replaceChildren(
      el('div', {
        class: 'card muted',
        text: `No agent changed its worker ${page.flapping_from} times within an hour.`,
      }),
    );
    return page;
  }
  box.replaceChildren(
    ...page.agents.map((contest) =>
      el(
        'div',
        { class: 'card contest' },
        el('h2', {}, el('a', { href: `#/agent/${contest.agent}`, text: `Agent ${contest.agent}` })),
        ...contestBlock(contest),
      ),
    ),
  );
  return page;
}
