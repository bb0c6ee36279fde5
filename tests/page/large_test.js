'use strict';
// 50,000 agents on 100 workers: the page is there at once, stays at hand while agents move, and asks the
// daemon for no more than it shows.
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Cluster, closeBrowser, done, open, remark, shot, until } = require('./support');

const kAgents = Number(process.env.PAGE_AGENTS || 50_000);
let cluster;

before(async () => {
  cluster = await Cluster.begin('large', '--agents', String(kAgents));
});
after(async () => {
  await closeBrowser();
  await cluster?.close();
});

const shown = (page, selector, wanted) =>
  page.locator(selector).filter({ hasText: wanted }).first().waitFor();
const kAll = new RegExp(`^${kAgents.toLocaleString('en-GB')}\\s*agents`);

// When the picture had all workers, counted by the browser from the moment it was sent there.
const firstPicture = () =>
  new Promise((found) => {
    const look = () =>
      document.querySelectorAll('#picture .worker').length >= 100
        ? requestAnimationFrame(() => found(performance.now()))
        : requestAnimationFrame(look);
    look();
  });

test('all workers are in the picture, each within it and none upon another', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', kAll);
  for (const size of [
    { width: 1280, height: 860 },
    { width: 390, height: 844 },
    { width: 1920, height: 1080 },
  ]) {
    await page.setViewportSize(size);
    const wrong = await until('it is arranged', () =>
      page.evaluate(() => {
        const discs = [...document.querySelectorAll('#picture .worker .disc')].map((n) =>
          n.getBoundingClientRect(),
        );
        const box = document.querySelector('#picture').getBoundingClientRect();
        if (discs.length !== 100) return null;
        const out = discs.filter(
          (d) =>
            d.left < box.left - 1 ||
            d.right > box.right + 1 ||
            d.top < box.top - 1 ||
            d.bottom > box.bottom + 1,
        );
        const upon = discs.filter((a, i) =>
          discs.some((b, j) => j < i && Math.hypot(a.x - b.x, a.y - b.y) < (a.width + b.width) / 2 - 1),
        );
        return { out: out.length, upon: upon.length };
      }),
    );
    assert.deepEqual(wrong, { out: 0, upon: 0 }, `${size.width} wide`);
  }
  await done(page);
});

test('the first picture is there with all that there is', async () => {
  const times = [];
  const page = await open(cluster.pages.master);
  for (let i = 0; i < 7; ++i) {
    await page.goto('about:blank');
    await page.goto(cluster.pages.master, { waitUntil: 'commit' });
    times.push(await page.evaluate(firstPicture));
  }
  await shown(page, '.count', kAll);
  times.sort((a, b) => a - b);
  remark(
    `first picture with ${kAgents} agents and 100 workers: median ${times[3].toFixed(0)} ms (goal: under 200), ` +
      `${times[0].toFixed(0)} to ${times[6].toFixed(0)} ms`,
  );
  page.faults.length = 0; // what was asked for when the page was left
  await done(page);
});

test('a change is seen while other agents move, and a storm does not stall the page', async () => {
  const page = await open(cluster.pages.master);
  await shown(page, '.count', kAll);
  await page.evaluate(() => {
    window.tasks = [];
    new PerformanceObserver((list) => list.getEntries().forEach((e) => window.tasks.push(e.duration))).observe({
      type: 'longtask',
    });
    window.frames_drawn = 0;
    const frame = () => {
      ++window.frames_drawn;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const seen = [];
  for (let i = 0; i < 9; ++i) {
    await cluster.ask('mix', { count: 40, seed: i + 1 });
    const agent = kAgents - i;
    const to = `w${93 + (i % 7)}`;
    const began = Date.now();
    await cluster.ask('connect', { worker: to, agents: [agent] });
    const row = page.locator('#feed li').filter({ hasText: new RegExp(`web-${agent} (moved|connected).*${to}$`) });
    await row.first().waitFor();
    seen.push(Date.now() - began);
  }
  seen.sort((a, b) => a - b);
  remark(
    `a change was seen after ${seen[4]} ms (median), at most ${seen[8]} ms, with 40 moves around each (goal: under 1000)`,
  );
  await page.evaluate(() => (window.frames_drawn = 0));
  const storm = Date.now();
  for (let i = 0; i < 4; ++i) await cluster.ask('mix', { count: 800, seed: 100 + i });
  await shot(page, 'master-100-workers-moving-light');
  // In the end it shows what the daemon says, of all and of each worker.
  const get = async (path) => (await fetch(`${cluster.pages.master}${path}`)).json();
  const differing = async () => {
    const [status, { nodes }] = [await get('/status'), await get('/nodes')];
    const counts = await page.locator('.count .n').allInnerTexts();
    const named = ['agents', 'active', 'migrating', 'unreachable', 'disconnected'];
    const labels = await page
      .locator('#picture .worker')
      .evaluateAll((all) => all.map((w) => w.getAttribute('aria-label')));
    return [
      ...named.filter((name, i) => counts[i] !== status[name].toLocaleString('en-GB')),
      ...nodes.map((n) => `${n.node}: ${n.open_sessions.toLocaleString('en-GB')} active;`).filter(
        (begin) => !labels.some((label) => label.startsWith(begin)),
      ),
    ];
  };
  await until('page and daemon agree', async () => !(await differing()).length);
  const took = Date.now() - storm;
  const { tasks, frames } = await page.evaluate(() => ({ tasks: window.tasks, frames: window.frames_drawn }));
  const longest = Math.max(0, ...tasks);
  remark(
    `while 3,560 agents moved it was busy for ${longest.toFixed(0)} ms at a time at most (goal: under 100), ` +
      `and drew ${frames} frames in ${took} ms`,
  );
  // Generous: what stalls it fails here, what merely is slow on a busy machine does not.
  assert.ok(longest < 1_000, `it stood still for ${longest} ms`);
  assert.ok(frames * 1_000 >= took, `it drew ${frames} frames in ${took} ms`);
  assert.ok((await page.locator('#feed li').count()) <= 60, 'the feed keeps its bound');
  await done(page);
});

test('the list is asked for page by page, and searched by the daemon', async () => {
  const page = await open(cluster.pages.master);
  const sizes = [];
  page.on('response', async (response) => {
    if (response.url().includes('/agents?')) sizes.push((await response.body().catch(() => '')).length);
  });
  await page.locator('#tabs').getByText('Agents').click();
  await until('a page is there', async () => (await page.locator('#agents tr').count()) === 50);
  await page.locator('#pager').getByText('Next').click();
  await until('the next page is there', async () =>
    /^\D*51\b|\b51\b/.test(await page.locator('#agents tr').first().innerText()),
  );
  const began = Date.now();
  await page.locator('#q').fill(`web-${kAgents}`);
  await until('it is alone', async () => (await page.locator('#agents tr').count()) === 1);
  await shown(page, '#agents tr', `web-${kAgents}`);
  remark(
    `a search through ${kAgents} agents was answered and drawn in ${Date.now() - began} ms, with the time to type`,
  );
  remark(`the largest page of agents has ${Math.max(...sizes)} bytes before compression`);
  assert.ok(
    (await page.evaluate(() => document.querySelectorAll('*').length)) < 6_000,
    'the page stays small',
  );
  await done(page);
});

test('it is looked at in all sizes, light and dark', async () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport] of [
      ['desktop', { width: 1440, height: 900 }],
      ['tablet', { width: 820, height: 1180 }],
      ['phone', { width: 390, height: 844 }],
    ]) {
      const page = await open(cluster.pages.master, { colorScheme, viewport });
      await shown(page, '.count', kAll);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
      await shot(page, `master-100-workers-${name}-${colorScheme}`);
      if (name !== 'tablet') {
        await page.goto(`${cluster.pages.master}/#/workers`);
        await until('they are there', async () => (await page.locator('#workers tr').count()) === 100);
        await shot(page, `workers-100-${name}-${colorScheme}`);
        await page.goto(`${cluster.pages.master}/#/agents`);
        await until('a page is there', async () => (await page.locator('#agents tr').count()) === 50);
        await shot(page, `agents-${name}-${colorScheme}`);
      }
      await done(page);
    }
  }
});
