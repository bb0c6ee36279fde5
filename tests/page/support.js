'use strict';
// Real daemons and a real browser for the page's tests. Installed packages are where tests/page/run put
// them, in the build folder, beside the screenshots.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const kStepMs = 60_000; // generous: nothing is measured by it
const kShots = process.env.PAGE_SHOTS;

// tests/page/daemons.py, steered line by line.
class Cluster {
  static async begin(kind, ...more) {
    const cluster = new Cluster();
    cluster.process = spawn('python3', [path.join(__dirname, 'daemons.py'), kind, ...more], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    cluster.answers = readline.createInterface({ input: cluster.process.stdout })[Symbol.asyncIterator]();
    cluster.pages = await cluster.answer();
    return cluster;
  }
  async answer() {
    const { value, done } = await this.answers.next();
    if (done) throw new Error('tests/page/daemons.py ended');
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(answer.error);
    return answer.ok;
  }
  ask(what, more = {}) {
    this.process.stdin.write(`${JSON.stringify({ do: what, ...more })}\n`);
    return this.answer();
  }
  async close() {
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.stdin.end();
    await ended;
  }
}

let browser = null;
async function launched() {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
  return browser;
}
async function closeBrowser() {
  await browser?.close();
  browser = null;
}

// A tab of its own, which notes what must not happen: errors in the console, and requests elsewhere.
// Without `live` it is not waited for.
async function open(url, { live = true, ...options } = {}) {
  const context = await (
    await launched()
  ).newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(kStepMs);
  page.faults = [];
  page.forgiven = []; // what a test brings about itself
  page.on(
    'console',
    (message) => ['error', 'warning'].includes(message.type()) && page.faults.push(message.text()),
  );
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) page.faults.push(`asks ${request.url()}`);
  });
  await page.goto(url);
  if (live) await page.locator('body[data-state="live"]').waitFor();
  return page;
}
async function done(page) {
  const faults = page.faults.filter((fault) => !page.forgiven.some((pattern) => pattern.test(fault)));
  await page.context().close();
  assert.deepEqual(faults, []);
}

async function until(what, fact) {
  const deadline = Date.now() + kStepMs;
  for (;;) {
    const result = await fact();
    if (result) return result;
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((again) => setTimeout(again, 20));
  }
}

async function shot(page, name) {
  if (!kShots) return;
  fs.mkdirSync(kShots, { recursive: true });
  await page.screenshot({ path: path.join(kShots, `${name}.png`) });
}

// A daemon whose loop can be stuck: what it says on /live waits meanwhile, and readers hear that it is busy.
class Stuckable {
  static async before(url) {
    const one = new Stuckable();
    one.stuck = false;
    one.server = http.createServer((request, response) => {
      const headers = { ...request.headers, host: new URL(url).host };
      const asked = http.request(`${url}${request.url}`, { method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        if (request.url === '/live') one.passOn(answer, response);
        else answer.pipe(response);
      });
      asked.on('error', () => response.destroy());
      request.pipe(asked);
      response.on('close', () => asked.destroy());
    });
    await new Promise((ready) => one.server.listen(0, '127.0.0.1', ready));
    one.url = `http://127.0.0.1:${one.server.address().port}`;
    return one;
  }
  passOn(answer, response) {
    let text = '';
    const tick = setInterval(() => {
      if (this.stuck) return response.write('event: busy\ndata: {"why":"the daemon is busy"}\n\n');
      const end = text.lastIndexOf('\n\n') + 2;
      if (end > 1) response.write(text.slice(0, end));
      text = end > 1 ? text.slice(end) : text;
    }, 100);
    answer.setEncoding('utf8');
    answer.on('data', (chunk) => (text += chunk));
    answer.on('error', () => {});
    response.on('close', () => clearInterval(tick));
  }
  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

function remark(text) {
  console.log(`remark: ${text}`);
}

module.exports = { Cluster, Stuckable, closeBrowser, done, open, remark, shot, until };
