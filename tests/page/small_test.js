'use strict';
// The pages of a master and three workers: what they say, live, to whoever looks, on whatever screen.
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Cluster, Stuckable, closeBrowser, done, open, remark, shot, until } = require('./support');

const kPhone = {
  viewport: { width: 360, height: 760 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
const kViews = [
  ['master', ['', 'workers', 'agents', 'contested', 'repairs', 'agent/7']],
  ['w3', ['', 'agents', 'handoffs', 'agent/901']],
];
let cluster;

before(async () => {
  cluster = await Cluster.begin('small');
});
after(async () => {
  await closeBrowser();
  await cluster?.close();
});

const text = (page, selector) => page.locator(selector).innerText();
const shown = (page, selector, wanted) =>
  page.locator(selector).filter({ hasText: wanted }).first().waitFor();
const drawn = async (page) => {
  await until('it is drawn', () => page.locator('#foot').innerText());
  await until('it is read', async () => !/^Reading/m.test(await page.locator('body').innerText()));
};
const finding = (page, title) => page.locator('.finding').filter({ hasText: title }).first();

test('the master shows its workers, their agents and whether they agree', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', /^45\s*agents/);
  await shown(page, '.finding[data-kind="good"]', 'All is well');
  const labels = () => page.locator('#picture .worker').evaluateAll((all) => all.map((w) => w.ariaLabel));
  assert.equal((await labels()).length, 3);
  assert.match((await labels())[0], /^w1: 20 active; lease valid; digest /);
  await until('a digest is compared', async () => /^w3: 5 active; .* digest equal, /.test((await labels())[2]));
  await shot(page, 'master-3-workers-light');
  await page.goto(`${cluster.pages.master}/#/workers`);
  await shown(page, '#workers tr', /w3\s*5/);
  await shot(page, 'workers-light');
  await done(page);
});

test('a move is seen without asking again, in the feed and in the picture', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', /^45\s*agents/);
  const began = Date.now();
  await cluster.ask('move', { agents: [3], to: 'w2' });
  await shown(page, '#feed li', /web-003 moved w1 → w2/);
  remark(`a move was seen ${Date.now() - began} ms after it was told to the sidecar`);
  await shot(page, 'migration-light');
  await until('the picture has it', async () =>
    /^w2: 21 active/.test(await page.locator('#picture .worker').nth(1).getAttribute('aria-label')),
  );
  await done(page);
});

test('an agent is found by a part of its name, by its address and by its id', async () => {
  const page = await open(cluster.pages.master);
  for (const [typed, found] of [
    ['EB-012', 'web-012'],
    ['10.0.0.31', 'web-031'],
    ['905', '905'],
  ]) {
    await page.locator('#q').fill(typed);
    await shown(page, '#agents tr', found);
    await until('it is alone', async () => (await page.locator('#agents tr').count()) === 1);
  }
  await page.locator('#q').fill('nobody');
  await shown(page, '#agents .none', 'No agent has “nobody”');
  await page.locator('#q').fill('web-012');
  await page.locator('#q').press('Enter');
  await shown(page, '#drawer', 'web-012');
  await done(page);
});

test('an agent’s timeline tells each decision with its reason, and goes on', async () => {
  await cluster.ask('move', { agents: [5], to: 'w2' });
  const page = await open(`${cluster.pages.master}/#/agent/5`);
  await shown(page, '#why', /Agent 5 is active on w2\. w2 said "opened"/);
  await shown(page, '#timeline li', /Taken: its stay began .* after w1's, which was open/);
  await shown(page, '#timeline li', /Taken: nothing was known of the agent before/);
  await shot(page, 'timeline-light');
  const gone = { agent: 5, event: 'disconnect', reason: 'shutdown' };
  await cluster.ask('tell', { worker: 'w2', events: [gone] });
  await shown(page, '#timeline li[data-event="closed"]', /Taken: it goes on with the stay that was known/);
  await shown(page, '#why', /Agent 5 is disconnected, last on w2 \(shutdown\)/);
  await page.goto(`${cluster.pages.master}/#/agent/4000000000`);
  page.forgiven.push(/404/); // the browser notes that nobody has it
  await shown(page, '#drawer', 'no worker has told of an agent of this id');
  await done(page);
});

test('what an agent says of itself is text, whatever it looks like', async () => {
  const name = '<img src=x onerror="document.title=\'harm\'"><script>document.title="harm"</script>';
  const info = {
    name,
    ip: '10.9.9.9"><b>x',
    os_name: '<svg onload=alert(1)>',
    'label.<i>k</i>': '<u>v</u>',
  };
  await cluster.ask('tell', { worker: 'w1', events: [{ agent: 66, event: 'connect', info }] });
  const page = await open(cluster.pages.master);
  await page.locator('#q').fill('onerror');
  await shown(page, '#agents tr', name);
  await page.goto(cluster.pages.master);
  await page.reload();
  await shown(page, '#feed li', name);
  await page.locator('#q').fill('onerror');
  await page.locator('#q').press('Enter');
  await shown(page, '#drawer', '<u>v</u>');
  assert.equal(await page.locator('#drawer').getByRole('heading', { level: 2 }).innerText(), name);
  assert.equal(
    await page.locator('main script, #drawer script, #feed img, #drawer svg, #agents img').count(),
    0,
  );
  assert.notEqual(await page.title(), 'harm');
  await cluster.ask('tell', { worker: 'w1', events: [{ agent: 66, event: 'remove' }] });
  await done(page);
});

test('everything can be reached by keyboard, and shows where one is', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', /agents/);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
  await page.keyboard.press('Escape');
  const reached = [];
  for (let i = 0; i < 60; ++i) {
    await page.keyboard.press('Tab');
    const { name, outline, worker } = await page.evaluate(() => {
      const node = document.activeElement;
      const style = getComputedStyle(node);
      const halo = node.querySelector?.('.halo');
      return {
        name: node.getAttribute('aria-label') ?? node.innerText ?? '',
        worker: node.classList.contains('worker'),
        outline: halo ? getComputedStyle(halo).stroke : style.outlineStyle,
      };
    });
    if (name === '') break;
    assert.notEqual(outline, 'none', `focus is not seen on ${name}`);
    reached.push(name);
    if (worker) break;
  }
  assert.ok(
    reached.some((name) => name.startsWith('w1:')),
    `the picture was not reached: ${reached}`,
  );
  await page.keyboard.press('ArrowRight');
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /^w2:/);
  await shown(page, '.tip', 'w2');
  await page.keyboard.press('Enter');
  await shown(page, '#agents tr', 'w2');
  assert.match(page.url(), /#\/agents\?node=w2$/);
  const first = page.locator('#agents a.row').first();
  await first.focus();
  await page.keyboard.press('Enter');
  await page.locator('#why').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#drawer').waitFor({ state: 'hidden' });
  assert.equal(
    await first.evaluate((node) => node === document.activeElement),
    true,
    'focus is where it was',
  );
  await done(page);
});

test('so can everything on a sidecar’s page', async () => {
  const page = await open(`${cluster.pages.w3}/#/agents`);
  await shown(page, '#agents tr', 'agent 905');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
  await page.keyboard.type('902');
  await page.keyboard.press('Enter');
  await shown(page, '#drawer .why', /Agent 902 as w3 sees it/);
  await page.keyboard.press('Escape');
  await page.locator('#drawer').waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'q', 'focus is where it was');
  const reached = [];
  while (!reached.at(-1)?.startsWith('agent ')) {
    assert.ok(reached.length < 40, `the list was not reached: ${reached}`);
    await page.keyboard.press('Tab');
    const { name, seen } = await page.evaluate(() => {
      const node = document.activeElement;
      const outlines = [null, '::after'].map((part) => getComputedStyle(node, part).outlineStyle);
      return {
        name: node.getAttribute('aria-label') ?? node.innerText ?? '',
        seen: outlines.some((outline) => outline !== 'none'),
      };
    });
    assert.ok(seen, `focus is not seen on ${name}`);
    reached.push(name);
  }
  for (const name of ['This worker', 'Handoffs', 'Here', 'Row: active'])
    assert.ok(reached.includes(name), `${name} was not reached: ${reached}`);
  await page.keyboard.press('Enter');
  await shown(page, '#drawer .why', /as w3 sees it/);
  await done(page);
});

test('every control has a name, and no id is there twice', async () => {
  for (const [name, view] of kViews.flatMap(([n, views]) => views.map((v) => [n, v]))) {
    const page = await open(`${cluster.pages[name]}/#/${view}`);
    await drawn(page);
    const wrong = await page.evaluate(() => {
      const nameless = [
        ...document.querySelectorAll('a, button, input, select, [role="button"], [role="img"]'),
      ].filter((node) => {
        const name = node.getAttribute('aria-label') ?? node.labels?.[0]?.innerText ?? node.innerText;
        return node.checkVisibility() && !name?.trim();
      });
      const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
      return [...nameless.map((node) => node.outerHTML), ...ids.filter((id, i) => ids.indexOf(id) !== i)];
    });
    assert.deepEqual(wrong, [], `${name} ${view}`);
    await done(page);
  }
});

// Of text on what lies behind it, as WCAG has it.
function contrasts(selectors) {
  const rgb = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) =>
    rgb(colour)
      .slice(0, 3)
      .map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((rgb(colour)[3] ?? 1) === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return selectors.flatMap((selector) =>
    [...document.querySelectorAll(selector)]
      .filter((n) => n.checkVisibility())
      .map((node) => {
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
        return [selector, (a + 0.05) / (b + 0.05)];
      }),
  );
}

test('it is light or dark as the system has it, or as one chose, and readable in both', async () => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  for (const [colorScheme, [name, views]] of ['light', 'dark'].flatMap((c) => kViews.map((v) => [c, v]))) {
    const page = await open(cluster.pages[name], { colorScheme });
    await shown(page, '.count', /agents/);
    assert.equal(await ground(page), colorScheme === 'light' ? 'rgb(244, 246, 249)' : 'rgb(14, 19, 27)');
    for (const view of views) {
      await page.goto(`${cluster.pages[name]}/#/${view}`);
      await drawn(page);
      const found = await page.evaluate(contrasts, [
        '.count .k',
        '.count .n',
        '.tabs a',
        '.finding p',
        '.finding b',
        '#feed time',
        '#feed .what',
        '.list th',
        '.list td',
        '.chip',
        '.rule',
        '.why',
        'h1',
        'h2',
        '.foot',
        '.legend li',
        '.live',
        '.muted',
        '.good',
        '.warn',
        '.lead',
        '.stop b',
        '.stop span',
        '.hop .text',
        '.pairs dt',
        '.pairs dd',
        '.grid dt',
        '.grid dd',
        '.finding code',
      ]);
      const poor = found.filter(([, ratio]) => ratio < 4.5);
      assert.deepEqual(poor, [], `${name} ${colorScheme} ${view}`);
      assert.ok(found.length > 8, `${name} ${view}: little was looked at`);
    }
    await page.goto(`${cluster.pages[name]}/#/`);
    await shown(page, '.count', /agents/);
    await shot(page, `${name === 'master' ? 'master-3-workers' : 'sidecar'}-${colorScheme}`);
    await done(page);
  }
  const page = await open(cluster.pages.master, { colorScheme: 'dark' });
  await page.locator('#theme').click();
  assert.equal(await ground(page), 'rgb(244, 246, 249)');
  await page.reload();
  await shown(page, '.count', /agents/);
  assert.equal(await ground(page), 'rgb(244, 246, 249)', 'it is remembered');
  await done(page);
});

test('moves are drawn in the colours of the page, whichever are chosen', async () => {
  const page = await open(cluster.pages.master, { colorScheme: 'light' });
  page.forgiven.push(/getImageData/); // that it is read here often
  // What is opaque on the canvas, in each frame.
  await page.evaluate(() => {
    window.seen = new Set();
    const canvas = document.querySelector('#picture canvas');
    const look = () => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      window.empty = data.every((value) => value === 0);
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] === 255) window.seen.add([data[i], data[i + 1], data[i + 2]].join());
      requestAnimationFrame(look);
    };
    look();
  });
  const colours = async (agent) => {
    await page.evaluate(() => window.seen.clear());
    await cluster.ask('move', { agents: [agent], to: 'w2' });
    await until('a move is drawn', () => page.evaluate(() => window.seen.size > 0));
    await until('it is there', () => page.evaluate(() => window.empty));
    return page.evaluate(() => [...window.seen]);
  };
  const kLight = [47, 111, 222],
    kDark = [110, 166, 255];
  // Where parts of what is drawn lie upon each other they are rounded.
  const drawnIn = async (agent, wanted) => {
    const far = (colour) => Math.max(...colour.split(',').map((c, i) => Math.abs(c - wanted[i])));
    assert.deepEqual((await colours(agent)).filter((colour) => far(colour) > 3), []);
  };
  await shown(page, '.count', /agents/);
  await drawnIn(11, kLight);
  await page.locator('#theme').click();
  await drawnIn(12, kDark);
  await page.locator('#theme').click();
  await drawnIn(13, kLight);
  await page.evaluate(() => {
    localStorage.clear();
    delete document.documentElement.dataset.theme;
  });
  await page.emulateMedia({ colorScheme: 'dark' });
  await drawnIn(14, kDark);
  await page.emulateMedia({ colorScheme: 'light' });
  await drawnIn(15, kLight);
  await done(page);
});

test('on a phone nothing is wider than the screen', async () => {
  for (const [name, views] of kViews) {
    const page = await open(cluster.pages[name], kPhone);
    for (const view of views) {
      await page.goto(`${cluster.pages[name]}/#/${view}`);
      await until('it is drawn', async () => (await page.locator('#foot').innerText()) !== '');
      const wide = await page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter(
            (n) =>
              n.checkVisibility() &&
              !n.closest('.tabs, .hidden, thead, svg, pre') &&
              n.getBoundingClientRect().right > innerWidth + 1,
          )
          .map((n) => `${n.tagName}.${n.className}`),
      );
      assert.deepEqual(wide, [], `${name} ${view}`);
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        `${name} ${view}`,
      );
      await shot(page, `phone-${name}-${view.replace(/\W/g, '-') || 'start'}`);
    }
    await done(page);
  }
});

test('the sidecar shows its own part, what it saw of an agent, and its link', async () => {
  const page = await open(cluster.pages.w3);
  await shown(page, '.finding[data-kind="good"]', /5 agents here, everything is told/);
  await shown(page, '.chain .stop', /The master\s*digest equal/);
  await shown(page, '#panels .card', 'streaming');
  await shot(page, 'sidecar-light');
  await page.locator('#q').fill('903');
  await page.locator('#q').press('Enter');
  await shown(page, '#drawer .why', /Agent 903 as w3 sees it: wazuh-db's row says active/);
  await page.keyboard.press('Escape');
  await page.locator('#tabs').getByText('Agents').click();
  await shown(page, '#agents tr', /agent 905\s*open/);
  await done(page);
});

test('the sidecar’s page follows what its agents do', async () => {
  const page = await open(`${cluster.pages.w1}/#/agents`);
  await cluster.ask('connect', { worker: 'w1', agents: [77] });
  await shown(page, '#agents tr', /agent 77\s*open/);
  await cluster.ask('move', { agents: [77], to: 'w2' });
  await shown(page, '#agents tr', /agent 77\s*released/);
  await page.locator('#tabs').getByText('Handoffs').click();
  await shown(page, '#handoffs tr', /agent 77\s*released.*to w2/s);
  await done(page);
});

test('when all digests are equal it says so', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.finding[data-kind="good"]', 'All 3 workers agree');
  await shot(page, 'master-3-workers-agree-light');
  await done(page);
});

test('an agent that goes to and fro is listed as contested, with both workers', async () => {
  const page = await open(cluster.pages.master);
  for (let i = 0; i < 5; ++i) await cluster.ask('move', { agents: [9], to: i % 2 ? 'w1' : 'w2' });
  await shown(page, '.finding', /1 agent is contested: 9/);
  await page.goto(`${cluster.pages.master}/#/contested`);
  await shown(page, '.contest', /Agent 9.*contested.*w1.*w2/s);
  await shot(page, 'contested-light');
  await done(page);
});

test('older decisions of one agent are not shown as another’s, and what cannot be read is said', async () => {
  const told = Array.from({ length: 20 }, () => [
    { agent: 25, event: 'disconnect', reason: 'shutdown' },
    { agent: 25, event: 'connect' },
  ]);
  await cluster.ask('tell', { worker: 'w2', events: told.flat() });
  const history = async (agent) =>
    (await (await fetch(`${cluster.pages.master}/agents/${agent}/history?limit=500`)).json()).decisions.length;
  await until('all is decided', async () => (await history(25)) > 40);
  const page = await open(`${cluster.pages.master}/#/agent/25`);
  const older = page.locator('#drawer').getByText('Show older decisions');
  const entries = page.locator('#timeline li');
  const kOlder = '**/agents/25/history?limit=50*';
  await older.waitFor();
  assert.equal(await entries.count(), 30);

  page.forgiven.push(/ERR_FAILED/); // the browser notes what is taken from it here
  await page.route(kOlder, (route) => route.abort());
  await older.click();
  await shown(page, '#drawer button', /Show older decisions \(they could not be read: /);
  await page.unroute(kOlder);

  let letGo;
  const held = new Promise((go) => (letGo = go));
  await page.route(kOlder, async (route) => {
    await held;
    await route.continue();
  });
  const answered = page.waitForResponse(kOlder);
  await older.click();
  await page.evaluate(() => (location.hash = '#/agent/8'));
  await shown(page, '#drawer h2', 'web-008');
  letGo();
  await (await answered).finished();
  await cluster.ask('move', { agents: [8], to: 'w2' });
  await shown(page, '#timeline li', /opened on w2/);
  assert.equal(await entries.count(), await history(8));

  await page.evaluate(() => (location.hash = '#/agent/25'));
  await older.click();
  await shown(page, '#drawer .muted', 'That is all that there ever was.');
  assert.equal(await entries.count(), await history(25));
  await done(page);
});

test('a certificate that is over soon is said on the page of its daemon, with the command that renews it', async () => {
  for (const name of ['master', 'w1']) {
    const page = await open(cluster.pages[name]);
    await page.locator('.finding').first().waitFor();
    assert.equal(await finding(page, 'certificate').count(), 0);
    await cluster.ask('renew', { name, days: 5 });
    const one = finding(page, `The certificate of ${name} expires within 5 days`);
    await one.waitFor();
    assert.equal(await one.getAttribute('data-kind'), 'warn');
    assert.equal(await one.locator('code').innerText(), `rollcall pki renew ${name}`);
    assert.match(await one.innerText(), new RegExp(`/pki/${name}\\.crt: it is valid until `));
    await shot(page, `certificate-${name}-light`);
    await cluster.ask('renew', { name });
    await one.waitFor({ state: 'detached' });
    await done(page);
  }
});

test('a certificate is warned of 30, 7 and 1 days before it is over, and loudly then', async () => {
  const page = await open(cluster.pages.w1);
  const found = (certificates) =>
    page.evaluate(async (given) => {
      const { upkeepFindings } = await import('/page/common.js');
      const reload = { error: null, needs_restart: [] };
      const all = upkeepFindings({ certificates: given, reload });
      return all.map((f) => `${f.kind}: ${f.title}. ${f.command}`);
    }, certificates);
  const one = (days_left, names = ['w1'], serial = 'A') => ({
    ...{ days_left, names, serial, subject: 'CN = x', file: '/x.crt', not_after: 1.8e15 },
  });
  const said = 'The certificate of w1';
  for (const [days, wanted] of [
    [30, []],
    [29, [`info: ${said} expires within 30 days. rollcall pki renew w1`]],
    [7, [`info: ${said} expires within 8 days. rollcall pki renew w1`]],
    [6, [`warn: ${said} expires within 7 days. rollcall pki renew w1`]],
    [1, [`warn: ${said} expires within 2 days. rollcall pki renew w1`]],
    [0, [`warn: ${said} expires within a day. rollcall pki renew w1`]],
    [-1, [`bad: ${said} has expired. rollcall pki renew w1`]],
  ])
    assert.deepEqual(await found([one(days), one(3000, [], 'B')]), wanted, `${days}`);
  const authority = 'info: The certificate of the CA (CN = x) expires within 21 days. rollcall pki change-ca';
  assert.deepEqual(await found([one(200), one(20, [], 'B')]), [authority]);
  const finish = [`${authority} --finish`];
  assert.deepEqual(await found([one(200), one(20, [], 'B'), one(3000, [], 'C')]), finish);
  await done(page);
});

test('a configuration that cannot be taken is said with its reason, and so is what needs a restart', async () => {
  for (const [name, key] of [
    ['master', 'heartbeat'],
    ['w1', 'keepalive'],
  ]) {
    const page = await open(cluster.pages[name]);
    await page.locator('.finding').first().waitFor();
    const value = await cluster.ask('configure', { name, key, value: 'soon' });
    const wrong = finding(page, 'What was changed is wrong, and everything stays as it was');
    await wrong.waitFor();
    assert.match(await wrong.innerText(), new RegExp(`${name}\\.ini:\\d+: .*${key}`));
    assert.equal(await wrong.locator('code').innerText(), 'rollcall check');
    await shot(page, `reload-${name}-light`);
    const path = await cluster.ask('configure', { name, key: 'path', value: '/elsewhere' });
    await cluster.ask('configure', { name, key, value });
    await wrong.waitFor({ state: 'detached' });
    const restart = finding(page, 'needs a restart');
    assert.match(await restart.innerText(), /\[store\] path: as before until then/);
    await cluster.ask('configure', { name, key: 'path', value: path });
    await restart.waitFor({ state: 'detached' });
    await done(page);
  }
});

test('the command that the page names for a frozen worker ends the freeze', async () => {
  const page = await open(cluster.pages.master);
  await cluster.ask('run', { name: 'master', command: 'rollcall freeze --for 10m --node w1' });
  const frozen = finding(page, /Expiry is frozen until .*Of w1 only/s);
  const command = await frozen.locator('code').innerText();
  assert.equal(command, 'rollcall unfreeze --node w1');
  await cluster.ask('run', { name: 'master', command });
  await frozen.waitFor({ state: 'detached' });
  await cluster.ask('run', { name: 'master', command: 'rollcall freeze --for 10m' });
  await cluster.ask('run', { name: 'master', command: await finding(page, 'Of all').locator('code').innerText() });
  await finding(page, 'Expiry is frozen').waitFor({ state: 'detached' });
  await done(page);
});

test('every command that the pages name is one of the tool’s', async () => {
  const found = new Set();
  for (const file of ['common.js', 'master.js', 'sidecar.js', 'agents.js', 'picture.js']) {
    const source = await (await fetch(`${cluster.pages.master}/page/${file}`)).text();
    for (const [, command] of source.matchAll(/['`]rollcall ([a-z][^'`$]*)/g)) found.add(command.trim());
  }
  assert.ok(found.size >= 8, `${[...found]}`);
  for (const command of found) {
    const words = command.split(' ').filter((word) => !word.startsWith('-'));
    const help = await cluster.ask('help', { words });
    assert.match(help, new RegExp(`rollcall ${words.join(' ')}\\b`), command);
    for (const option of command.split(' ').filter((word) => word.startsWith('-')))
      assert.match(help, new RegExp(`${option}\\b`), command);
  }
});

test('a daemon that is busy is shown as cut off, and live when it answers again', async () => {
  for (const name of ['master', 'w1']) {
    const daemon = await Stuckable.before(cluster.pages[name]);
    const page = await open(daemon.url);
    await page.locator('.finding').first().waitFor();
    daemon.stuck = true;
    await shown(page, '#cut', /Cut off from the daemon since .*: the daemon is busy\. What you see is how/);
    assert.equal(await text(page, '#live'), 'Cut off');
    daemon.stuck = false;
    await page.locator('#cut').waitFor({ state: 'hidden' });
    assert.equal(await text(page, '#live'), 'Live');
    await done(page);
    daemon.close();
  }
});

test('it says when it is cut off, and goes on when the daemon is back', async () => {
  const page = await open(cluster.pages.master);
  const sidecar = await open(cluster.pages.w1);
  page.forgiven.push(/ERR_|Failed to load/);
  sidecar.forgiven.push(/ERR_|Failed to load/);
  await shown(page, '.count', /agents/);
  await cluster.ask('kill', { name: 'master' });
  await shown(page, '#cut', /Cut off from the daemon since .*What you see is how it stood then/);
  await shown(sidecar, '.finding[data-kind="bad"]', 'There is no link to the master');
  await cluster.ask('connect', { worker: 'w1', agents: [88] });
  await until('the event waits', async () =>
    /^1\s*unacked events/.test((await text(sidecar, '.counts')).match(/\d+\s*unacked events/)?.[0] ?? ''),
  );
  await shot(page, 'cut-off-light');
  await shot(sidecar, 'sidecar-cut-off-light');
  await cluster.ask('start', { name: 'master' });
  await page.locator('#cut').waitFor({ state: 'hidden' });
  await shown(page, '#feed li', /web-088 connected to w1/);
  await shown(sidecar, '.finding[data-kind="good"]', /everything is told/);
  await done(page);
  await done(sidecar);
});

test('workers that fall silent at once wait for a word, and it names the command', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', /agents/);
  for (const name of ['w1', 'w2']) await cluster.ask('kill', { name });
  await shown(page, '.finding', /2 workers are silent: w1, w2/);
  await shown(page, '.finding[data-kind="bad"]', /would expire at once: that waits for your word/);
  assert.equal(
    await page.locator('.finding[data-kind="bad"] code').first().innerText(),
    'rollcall confirm',
  );
  await until('the picture has both', async () =>
    (await page.locator('#picture .link[data-state="held"]').count()) === 2,
  );
  await shot(page, 'held-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, 'held-dark');
  for (const name of ['w1', 'w2']) await cluster.ask('start', { name });
  await page.locator('.finding[data-kind="bad"]').waitFor({ state: 'detached' });
  await done(page);
});
