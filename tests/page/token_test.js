'use strict';
// A daemon that asks who reads: the page asks for the token, and is told again if it is another one.
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Cluster, closeBrowser, done, open, shot } = require('./support');

let cluster;

before(async () => {
  cluster = await Cluster.begin('guarded');
});
after(async () => {
  await closeBrowser();
  await cluster?.close();
});

test('the page itself is for all, and what it asks for is not', async () => {
  const status = async (path) => (await fetch(`${cluster.pages.master}${path}`)).status;
  for (const path of ['/', '/page/common.js', '/page/master.js', '/page/style.css', '/healthz'])
    assert.equal(await status(path), 200, path);
  for (const path of ['/live', '/status', '/agents', '/contested', '/agents/1/why'])
    assert.equal(await status(path), 401, path);
});

test('it asks for the token, again if it was wrong, and keeps it for this tab', async () => {
  const page = await open(cluster.pages.master, { live: false });
  page.forgiven.push(/status of 40[13]/); // the browser notes what was refused
  const dialog = page.getByRole('dialog', { name: 'This daemon asks who reads' });
  const input = dialog.getByLabel('The token');
  await dialog.getByText(/Who reads shows the token in \/.*\/master\/token\./).waitFor();
  assert.equal(await input.evaluate((node) => node === document.activeElement), true);
  await shot(page, 'token-light');
  await page.keyboard.press('Escape');
  assert.equal(await dialog.isVisible(), true, 'there is nothing to see without it');

  // One of those that were sent with the wrong token is answered when the right one is known.
  const wrong = '0'.repeat(64);
  let letGo, isSent;
  const held = new Promise((go) => (letGo = go));
  const sent = new Promise((is) => (isSent = is));
  await page.route('**/contested?*', async (route) => {
    if (route.request().headers().authorization?.endsWith(wrong)) {
      isSent();
      await held;
    }
    await route.continue();
  });
  await input.fill(wrong);
  await input.press('Enter');
  await dialog.getByText(/This is not the token in \/.*\/master\/token\./).waitFor();
  assert.equal(await input.inputValue(), '', 'what was wrong is not offered again');
  assert.equal(await page.locator('dialog').count(), 1, 'it asks once, whatever was refused');
  assert.equal(await page.locator('.count').count(), 0);
  await sent;

  await input.fill(await cluster.ask('token'));
  await dialog.getByRole('button', { name: 'Read' }).click();
  await page.locator('body[data-state="live"]').waitFor();
  await page.locator('.finding').filter({ hasText: 'No worker has come yet' }).waitFor();
  const refused = page.waitForResponse((answer) => answer.status() === 403);
  const read = page.waitForResponse((answer) => /contested/.test(answer.url()) && answer.ok());
  letGo();
  await refused;
  await read;
  assert.equal(await page.locator('dialog').count(), 0);
  assert.equal(await page.locator('#cut').isVisible(), false);

  await page.reload();
  await page.locator('body[data-state="live"]').waitFor();
  assert.equal(await page.locator('dialog').count(), 0, 'it is kept');
  const other = await page.context().newPage();
  await other.goto(cluster.pages.master);
  await other.getByRole('dialog').waitFor();
  await other.close();
  await done(page);
});
