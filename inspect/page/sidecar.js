// The sidecar's page: this worker's own part, and how it reaches the master.
import {
  Drawer,
  Pager,
  agentRows,
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
  length,
  lengthAgo,
  pairs,
  route,
  say,
  seldom,
  setAttribute,
  setText,
  showFindings,
  showState,
  showTab,
  some,
  status,
  themeSwitch,
  time,
  upkeepFindings,
  words,
  worstFirst,
} from '/page/common.js';

const model = { part: null, mark: '' };
const draw = eachFrame(render);
const yes = (flag, text, other) => (flag ? text : other);

function take(part) {
  model.part = part;
  // Something became of an agent: the lists are read again.
  const { backlog, link, agents, open_sessions } = part.status;
  const mark = [backlog.events, link.last_seq, agents, open_sessions, part.drained].join();
  if (mark !== model.mark) {
    model.mark = mark;
    touched();
  }
  draw();
}

function touched() {
  const { view } = route();
  if (view === 'agents') pager.refresh();
  if (view === 'handoffs') readHandoffs();
  if (story.id !== null) story.refresh();
}

// ---- the verdict

function findings({ status: s, sync, drained }) {
  const found = [];
  const add = (kind, key, title, text, command) => found.push({ kind, key, title, text, command });
  if (s.store.error)
    add(
      'bad',
      'store',
      'The store cannot be written',
      `Nothing is told to the master until it can: ${s.store.error}`,
      'rollcall check',
    );
  if (s.link.state !== 'streaming') {
    const lease =
      s.agreement.lease_us === null
        ? ''
        : ` The lease still ran for ${length(s.agreement.lease_us)} when the master last said so.`;
    add(
      'bad',
      'link',
      s.link.state === 'greeting' ? 'The master is greeted' : 'There is no link to the master',
      `${s.link.error ?? s.link.master_says ?? 'It is being tried.'}. ${some(s.backlog.events, 'event')} wait for it.${lease}`,
      'rollcall check',
    );
  }
  if (!s.source.connected)
    add(
      'bad',
      'source',
      'The source does not answer',
      s.source.error ?? 'It was not asked yet.',
      'rollcall check',
    );
  else if (s.source.error) add('warn', 'source', 'The source had trouble', s.source.error);
  if (!sync.source.looked_at_all && s.source.looks > 0)
    add('warn', 'looked', 'Not every row was read yet', 'The first whole look is under way.');
  if (s.agreement.state === 'differs')
    add(
      'warn',
      'differs',
      'Worker and master differ',
      'They hold other sessions of this worker open; where they differ is being found and mended.',
    );
  if (s.backlog.folded)
    add(
      'info',
      'folded',
      'The backlog was full',
      `${some(s.backlog.folded, 'event')} were folded into newer ones. No agent’s last state is lost by that.`,
    );
  if (drained)
    add(
      'info',
      'drained',
      'This worker is drained',
      'Its agents are offered to the other workers. The handoffs say how far that is.',
      'rollcall undrain',
    );
  if (s.link.state === 'streaming' && s.link.master_says)
    add('info', 'says', 'The master’s last error', s.link.master_says);
  found.push(...upkeepFindings(s));
  if (!found.length) {
    const agreed =
      s.agreement.equal_ago_us === null
        ? 'It has not compared its digest yet.'
        : `It agreed with the master ${lengthAgo(s.agreement.equal_ago_us)}.`;
    add(
      'good',
      'good',
      'All is well',
      `${some(s.open_sessions, 'agent')} here, everything is told. ${agreed}`,
    );
  }
  return worstFirst(found);
}

// ---- the way of an event: source, this worker, master

function stops({ status: s, sync }) {
  const look = sync.source.last_look;
  const source = !s.source.connected ? 'bad' : s.source.error ? 'warn' : 'good';
  const linked = s.link.state === 'streaming';
  return [
    {
      key: 'source',
      kind: source,
      title: s.source.wazuh ? `Wazuh ${s.source.wazuh}` : 'The source',
      lines: [
        yes(s.source.connected, 'connected', 'does not answer'),
        look
          ? `${some(s.source.table_rows, 'agent')} in its table, the last look took ${length(look.took_us)}`
          : `${count(s.source.last_rows ?? 0)} rows or lines read`,
      ],
    },
    { key: 'in', hop: true, kind: source, text: look ? `looked ${lengthAgo(look.ago_us)}` : 'as it comes' },
    {
      key: 'own',
      kind: s.store.error ? 'bad' : 'good',
      title: s.node,
      lines: [
        `${some(s.open_sessions, 'agent')} here, ${count(s.agents)} known`,
        s.store.error ?? `${some(s.backlog.events, 'event')} stored and not acked`,
      ],
    },
    {
      key: 'out',
      hop: true,
      kind: linked ? 'good' : 'bad',
      text: linked ? `acked up to ${count(s.link.acked_seq)}` : words(s.link.state),
    },
    {
      key: 'master',
      kind: !linked ? 'bad' : s.agreement.state === 'differs' ? 'warn' : 'good',
      title: 'The master',
      lines: [
        linked ? `digest ${words(s.agreement.state)}` : 'not connected',
        sync.last_ack ? `last ack ${lengthAgo(sync.last_ack.ago_us)}` : 'no ack since the start',
      ],
    },
  ];
}
function renderChain(part) {
  keyed(
    by('chain'),
    stops(part),
    (stop) => stop.key,
    (stop) =>
      stop.hop
        ? el(
            'li',
            { class: 'hop' },
            el('span', { class: 'text' }),
            el('span', { class: 'line', 'aria-hidden': 'true' }),
          )
        : el('li', { class: 'stop' }, el('b'), el('span'), el('span')),
    (node, stop) => {
      setAttribute(node, 'data-kind', stop.kind);
      if (stop.hop) return setText(node.firstChild, stop.text);
      setText(node.children[0], stop.title);
      setText(node.children[1], stop.lines[0]);
      setText(node.children[2], stop.lines[1]);
    },
  );
}

function renderCounts({ status: s }) {
  const rows = [
    ['here now', count(s.open_sessions), '#/agents?session=open'],
    ['agents known', count(s.agents), '#/agents'],
    ['unacked events', count(s.backlog.events)],
    ['oldest unacked', length(s.backlog.oldest_us)],
    ['bytes waiting', count(s.backlog.bytes)],
    ['lease left', length(s.agreement.lease_us)],
  ];
  keyed(
    by('counts'),
    rows,
    ([name]) => name,
    ([name, , href]) =>
      el(
        href ? 'a' : 'div',
        { class: 'count', href: href ?? null },
        el('span', { class: 'n' }),
        el('span', { class: 'k', text: name }),
      ),
    (node, [, value]) => setText(node.querySelector('.n'), value),
  );
}

function renderPanels({ status: s }) {
  const known = (value) => value ?? '–';
  const panels = [
    [
      'Link',
      [
        ['State', words(s.link.state)],
        ['Error', known(s.link.error)],
        ['Sent up to', count(s.link.last_seq)],
        ['Acked up to', count(s.link.acked_seq)],
        ['In flight', `${count(s.link.in_flight_bytes)} bytes`],
        ['Master', known(s.link.master)],
        ['Term', known(s.link.term)],
      ],
    ],
    [
      'Agreement',
      [
        ['State', words(s.agreement.state)],
        [
          'Last equal',
          s.agreement.equal_ago_us === null ? 'never since the start' : lengthAgo(s.agreement.equal_ago_us),
        ],
        ['Heartbeats carry a digest', yes(s.agreement.compared, 'yes', 'not yet')],
        ['Whole inventories', count(s.agreement.inventories)],
        ['Partial inventories', count(s.agreement.partial_inventories)],
        ['Inventory under way', yes(s.agreement.inventory_under_way, 'yes', 'no')],
      ],
    ],
    [
      'Source',
      [
        ['Connected', yes(s.source.connected, 'yes', 'no')],
        ['Looks', count(s.source.looks)],
        ['Whole looks', count(s.source.scans)],
        ['Failed', count(s.source.failures), s.source.failures === 0],
        ['Agents in the table', count(s.source.table_rows)],
        ['Unreadable', count(s.source.unreadable), s.source.unreadable === 0],
        ['Keepalive', length(s.source.keepalive_us)],
      ],
    ],
    [
      'Clock and answers',
      [
        [
          'Offset to the master',
          s.clock.known
            ? length(Math.abs(s.clock.offset_us)) + (s.clock.offset_us < 0 ? ' behind' : ' ahead')
            : 'not known',
        ],
        ['Can be off by', s.clock.known ? length(s.clock.error_us) : '–'],
        ['Superseded', count(s.answers.superseded)],
        ['Challenged', count(s.answers.challenged)],
        ['From the future', count(s.answers.future_epoch), s.answers.future_epoch === 0],
        ['Infos asked for', count(s.answers.need_info)],
      ],
    ],
  ];
  keyed(
    by('panels'),
    panels,
    ([name]) => name,
    ([name]) => el('div', { class: 'card' }, el('h2', { text: name }), el('dl', { class: 'pairs' })),
    (node, [, rows]) => pairs(node.lastChild, rows),
  );
}

function render() {
  if (!model.part) return;
  const { status: s } = model.part;
  document.title = `${s.link.state === 'streaming' ? '' : '● '}${s.node} · rollcall`;
  setText(by('node'), `sidecar of ${s.node}`);
  setText(by('foot'), `rollcall ${s.version} · store ${s.store.id}`);
  const found = findings(model.part);
  const loud = found.map((f) => f.title).join('. ');
  if (loud !== model.loud) say((model.loud = loud));
  if (by('view-worker').hidden) return;
  showFindings(by('verdict'), found);
  renderChain(model.part);
  renderCounts(model.part);
  renderPanels(model.part);
}

// ---- agents

const kFilters = [
  ['session', '', 'All'],
  ['session', 'open', 'Here'],
  ['session', 'released', 'Released'],
  ['session', 'closed', 'Closed'],
  ['status', 'active', 'Row: active'],
  ['status', 'disconnected', 'Row: disconnected'],
  ['status', 'pending', 'Row: pending'],
  ['status', 'never_connected', 'Row: never connected'],
];
const chips = kFilters.map(([name, value, text]) => {
  const chip = el('button', {
    class: 'chip',
    type: 'button',
    text,
    onclick: () => go('agents', value ? { [name]: value } : {}),
  });
  return { name, value, chip };
});
by('filters').append(...chips.map((c) => c.chip));
by('agents')
  .parentElement.querySelector('thead')
  .append(
    el(
      'tr',
      {},
      ...['Agent', 'Stay here', 'Because', 'Its row', 'Last keepalive', 'Last heard'].map((text) =>
        el('th', { scope: 'col', text }),
      ),
    ),
  );

const pager = new Pager(
  by('pager'),
  async (after, signal) => {
    const asked = new URLSearchParams({ limit: 50, after });
    for (const [name, value] of route().query)
      if (value && ['session', 'status'].includes(name)) asked.set(name, value);
    const page = await get(`/agents?${asked}`, signal);
    return {
      rows: page.agents,
      next: page.next_after,
      note: `${some(page.agents.length, 'agent')} on this page, of ${count(page.total)}`,
    };
  },
  ({ rows }) => agentRows(by('agents'), rows, 'No agent is like that.', agentRow, fill),
);

function agentRow(agent) {
  return el(
    'tr',
    {},
    el('td', {}, el('a', { class: 'row', href: `#/agent/${agent.id}`, text: `agent ${agent.id}` })),
    el('td', {}),
    el('td', { class: 'muted' }),
    el('td', { 'data-label': 'Row' }),
    el('td', { 'data-label': 'Keepalive' }),
    el('td', { 'data-label': 'Heard' }),
  );
}

function fill(row, { row: table, session }) {
  const [, stay, because, rowed, keepalive, heard] = row.children;
  const phase = session?.phase ?? '';
  if (stay.dataset.phase !== phase) {
    stay.dataset.phase = phase;
    stay.replaceChildren(phase ? status(phase) : 'never');
  }
  setText(because, session?.reason ? words(session.reason) : '');
  setText(rowed, table ? words(table.status) : '–');
  setText(keepalive, table?.last_keepalive ? clock(table.last_keepalive * 1e6) : '–');
  setText(heard, session ? clock(session.evidence_hi) : '–');
}

// One agent as this worker sees it.
const story = {
  id: null,
  drawer: new Drawer(() => (location.hash = behind)),
  refresh: seldom(700, () => story.load()),
  open(id) {
    if (this.id === id) return;
    this.id = id;
    this.drawer.show(this.drawer.head(`Agent ${id}`), el('p', { class: 'muted', text: 'Reading …' }));
    this.load();
  },
  close() {
    this.id = null;
    this.drawer.hide();
  },
  async load() {
    const { id } = this;
    if (id === null) return;
    try {
      const why = await get(`/agents/${encodeURIComponent(id)}/why`);
      if (this.id !== id) return;
      const { session, row } = why;
      const facts = [
        ['Stay', session && words(session.phase)],
        ['Began', session?.epoch && clock(session.epoch)],
        ['Change', session && String(session.change)],
        ['Reason', session?.reason && words(session.reason)],
        ['Heard', session && clock(session.evidence_hi)],
        ['Row', row && words(row.status)],
        ['Keepalive', row?.last_keepalive && clock(row.last_keepalive * 1e6)],
      ];
      this.drawer.show(
        this.drawer.head(`Agent ${id}`),
        el('p', { class: 'why', text: why.text }),
        el(
          'dl',
          { class: 'grid' },
          ...facts.filter(([, v]) => v).flatMap(([n, v]) => [el('dt', { text: n }), el('dd', { text: v })]),
        ),
        el('p', {
          class: 'muted',
          text: 'What was decided about it is the master’s to say: its page has the agent’s whole timeline.',
        }),
      );
    } catch (error) {
      if (this.id === id)
        this.drawer.show(
          this.drawer.head(`Agent ${id}`),
          el('p', { class: 'why', text: `${error.message}.` }),
        );
    }
  },
};

// ---- handoffs

by('handoffs')
  .parentElement.querySelector('thead')
  .append(
    el(
      'tr',
      {},
      ...['Agent', 'What', 'When', 'From or to', 'End'].map((text) => el('th', { scope: 'col', text })),
    ),
  );
const readHandoffs = seldom(1_000, async () => {
  const page = await get('/handoffs?limit=200');
  showDrain(page.drain);
  const rows = page.handoffs.toReversed();
  if (!rows.length) {
    by('handoffs').replaceChildren(
      el('tr', {}, el('td', { class: 'none', colspan: 5, text: 'No agent was handed over.' })),
    );
    return;
  }
  by('handoffs').replaceChildren(
    ...rows.map((h) =>
      el(
        'tr',
        {},
        el('td', {}, el('a', { class: 'row', href: `#/agent/${h.agent}`, text: `agent ${h.agent}` })),
        el('td', {}, status(h.kind)),
        el('td', {}, time(h.at)),
        el('td', { text: h.from ? `from ${h.from}` : h.to ? `to ${h.to}` : '–' }),
        el('td', { text: h.end ? words(h.end) : h.left_us === null ? '–' : `${length(h.left_us)} left` }),
      ),
    ),
  );
});
function showDrain(drain) {
  if (!drain) {
    by('drain').replaceChildren();
    return;
  }
  const taken = Object.entries(drain.taken),
    gone = taken.reduce((sum, [, n]) => sum + n, 0);
  const rows = [
    ['Drained for', length(drain.for_us)],
    ['Still here', count(drain.left)],
    ['Taken by others', count(gone)],
    ...taken.map(([node, n]) => [`… by ${node}`, count(n)]),
    ['Heard nowhere within the grace', count(drain.expired), drain.expired === 0],
    ['Asked to go', count(drain.asked)],
    ['Could not be asked', count(drain.asked_failed), drain.asked_failed === 0],
  ];
  const list = el('dl', { class: 'pairs' });
  pairs(list, rows);
  by('drain').replaceChildren(
    el(
      'div',
      { class: 'card' },
      el('h2', { text: 'The drain' }),
      el('progress', {
        max: Math.max(1, drain.left + gone),
        value: gone,
        'aria-label': 'agents that went',
      }),
      list,
    ),
  );
}

// ---- where one is

const kViews = { '': 'worker', agents: 'agents', handoffs: 'handoffs' };
let behind = '#/';
function moved() {
  const { view, id } = route();
  if (view === 'agent' && id) {
    story.open(id);
    if (!document.querySelector('main > section:not([hidden])')) showView('');
    return;
  }
  story.close();
  behind = location.hash || '#/';
  showView(view in kViews ? view : '');
}
function showView(view) {
  for (const name of Object.values(kViews)) by(`view-${name}`).hidden = name !== kViews[view];
  showTab(view);
  const { query } = route();
  const chosen = chips.find((c) => c.value && query.get(c.name) === c.value) ?? chips[0];
  for (const c of chips) setAttribute(c.chip, 'aria-pressed', c === chosen);
  if (view === 'agents') pager.begin();
  if (view === 'handoffs') readHandoffs();
  draw();
}

by('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const id = by('q').value.trim();
  if (id) location.hash = `/agent/${encodeURIComponent(id)}`;
});
themeSwitch();
keys(() => (story.drawer.open ? (location.hash = behind) : by('q').blur()));
addEventListener('hashchange', moved);
moved();
setInterval(() => document.hidden || touched(), 5_000);
follow(take, showState());
