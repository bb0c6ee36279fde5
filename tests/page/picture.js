'use strict';
// The picture in docs/page.md: picture.js FILE
const { Cluster, closeBrowser, done, open, until } = require('./support');

async function main(file) {
  const cluster = await Cluster.begin('picture', '--agents', '48');
  try {
    for (const [agent, to] of [
      [11, 'worker-3'],
      [12, 'worker-1'],
      [31, 'worker-3'],
    ])
      await cluster.ask('move', { agents: [agent], to });
    const gone = { agent: 20, event: 'disconnect', reason: 'shutdown' };
    await cluster.ask('tell', { worker: 'worker-1', events: [gone] });
    const page = await open(cluster.pages.master, { viewport: { width: 1280, height: 900 } });
    await until('all workers agree', () =>
      page.locator('.finding').filter({ hasText: 'All 3 workers agree' }).count(),
    );
    await cluster.ask('move', { agents: [30], to: 'worker-2' });
    await page.locator('#feed li').filter({ hasText: 'web-30 moved' }).waitFor();
    await page.waitForTimeout(700); // the agent is on its way
    await page.screenshot({ path: file });
    await done(page);
  } finally {
    await closeBrowser();
    await cluster.close();
  }
}

main(process.argv[2]).catch((error) => {
  console.error(`tests/page/picture.js: ${error.message}`);
  process.exitCode = 1;
});
