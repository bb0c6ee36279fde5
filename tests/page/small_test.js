'use strict';
// The pages of a master and three workers: what they say, live, to whoever looks, on whatever screen.
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Cluster, closeBrowser, done, open, remark, shot, until } = require('./support');

const kPhone = {
  viewport: { width: 360, height: 760 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
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

test('every control has a name, and no id is there twice', async () => {
  const page = await open(cluster.pages.master);
  for (const view of ['', 'workers', 'agents', 'contested', 'repairs', 'agent/7']) {
    await page.goto(`${cluster.pages.master}/#/${view}`);
    await page.waitForTimeout(0);
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
    assert.deepEqual(wrong, [], view);
  }
  await done(page);
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
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(cluster.pages.master, { colorScheme });
    await shown(page, '.count', /agents/);
    assert.equal(await ground(page), colorScheme === 'light' ? 'rgb(244, 246, 249)' : 'rgb(14, 19, 27)');
    for (const view of ['', 'workers', 'agents', 'agent/7']) {
      await page.goto(`${cluster.pages.master}/#/${view}`);
      await until('it is drawn', () => page.locator('main section:not([hidden])').innerText());
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
      ]);
      const poor = found.filter(([, ratio]) => ratio < 4.5);
      assert.deepEqual(poor, [], `${colorScheme} ${view}`);
    }
    await page.goto(`${cluster.pages.master}/#/`);
    await shown(page, '.count', /agents/);
    await shot(page, `master-3-workers-${colorScheme}`);
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

test('on a phone nothing is wider than the screen', async () => {
  for (const [name, views] of [
    ['master', ['', 'workers', 'agents', 'contested', 'repairs', 'agent/7']],
    ['w3', ['', 'agents', 'handoffs', 'agent/901']],
  ]) {
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
  assert.equal(await page.locator('#picture .link[data-state="held"]').count(), 2);
  await shot(page, 'held-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, 'held-dark');
  for (const name of ['w1', 'w2']) await cluster.ask('start', { name });
  await page.locator('.finding[data-kind="bad"]').waitFor({ state: 'detached' });
  await done(page);
});
