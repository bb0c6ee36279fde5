// The cluster as a picture: the master in the middle, the workers around it with their agents by status,
// and agents on their way from one to another. Workers are SVG, so that they can be reached by keyboard
// and read aloud; what moves is drawn on a canvas above them, a frame at a time.
import { ago, count, el, keyed, setAttribute, setText, short, some, svg, words } from '/page/common.js';

const kStatuses = ['active', 'migrating', 'unreachable', 'disconnected'];
const kLabelled = 14; // the least radius of a worker with its name below
const kMostWords = 6; // of a part: flights that say how many agents they are
const kFlightMs = 1100,
  kFadeMs = 700,
  kMostFlights = 240;
const kHub = { width: 142, height: 56 };

const total = (w) => kStatuses.reduce((sum, name) => sum + w[name], 0);

// What the line from the master says of a worker.
export function linkState(w) {
  if (w.lease.status === 'expired') return 'gone';
  if (w.lease.status !== 'valid') return w.lease.status;
  if (!w.connected) return 'gone';
  return w.agreement === 'differs' ? 'differs' : 'agrees';
}
// ... and the small dot at its edge.
function agreement(w) {
  if (w.lease.status !== 'valid' || !w.connected) return 'silent';
  return w.agreement ?? 'unknown';
}
export function agreementWords(w, now) {
  if (w.agreement === 'differs') return w.agreed ? `differs, agreed ${ago(w.agreed, now)}` : 'differs';
  if (!w.agreed) return w.connected ? 'not compared yet' : '–';
  return `${w.connected ? 'equal, ' : 'was equal '}${ago(w.agreed, now)}`;
}
function words_of(w, now) {
  const parts = kStatuses.filter((name) => w[name] > 0).map((name) => `${count(w[name])} ${name}`);
  return `${w.node}: ${parts.join(', ') || 'no agents'}; lease ${w.lease.status}; digest ${agreementWords(w, now)}`;
}

// Names without what all of them begin with, where there is little room.
function commonPrefix(names) {
  if (names.length < 2) return '';
  let prefix = names[0];
  for (const name of names) while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.replace(/[^-_.]*$/, '');
}

function perimeter(a, b) {
  const h = ((a - b) / (a + b)) ** 2;
  return Math.PI * (a + b) * (1 + (3 * h) / (10 + Math.sqrt(4 - 3 * h)));
}
// `n` points on an ellipse, at equal distances along it.
function around(a, b, n, turn) {
  const kSteps = 720,
    at = [0];
  const point = (i) => {
    const s = (2 * Math.PI * i) / kSteps - Math.PI / 2;
    return [a * Math.cos(s), b * Math.sin(s)];
  };
  for (let i = 1; i <= kSteps; ++i) {
    const [x, y] = point(i),
      [u, v] = point(i - 1);
    at.push(at[i - 1] + Math.hypot(x - u, y - v));
  }
  const points = [];
  for (let k = 0, i = 0; k < n; ++k) {
    const wanted = (at[kSteps] * (k + turn)) / n;
    while (i < kSteps && at[i + 1] <= wanted) ++i;
    points.push(point(i));
  }
  return points;
}
// The largest circles that fit, on as few ellipses as hold them.
function layout(n, width, height) {
  for (let r = Math.min(50, height / 7, width / 8); r >= 6; r -= 1) {
    const label = r >= kLabelled ? 15 : 4,
      gap = r >= kLabelled ? Math.max(11, r * 0.5) : 7;
    const rings = [];
    let room = 0;
    let a = width / 2 - r - 8,
      b = height / 2 - r - label - 4;
    if (n <= 6) a = Math.min(a, b * 1.9);
    while (a >= kHub.width / 2 + r + 10 && b >= kHub.height / 2 + r + 12) {
      const fits = Math.floor(perimeter(a, b) / (2 * r + gap));
      rings.push({ a, b, fits });
      room += fits;
      if (room >= n) break;
      a -= 2 * r + gap;
      b -= 2 * r + label + gap / 2;
    }
    if (room < n) continue;
    const points = [];
    let left = n;
    for (const [i, ring] of rings.entries()) {
      const share = i + 1 === rings.length ? left : Math.min(left, Math.round((n * ring.fits) / room));
      points.push(...around(ring.a, ring.b, share, (i % 2) / 2));
      left -= share;
    }
    return {
      r,
      labels: r >= kLabelled,
      points: points.map(([x, y]) => [x + width / 2, y + height / 2 - label / 3]),
    };
  }
  // Too many for the room: a grid below the master.
  const columns = Math.ceil(Math.sqrt((n * width) / height)),
    rows = Math.ceil(n / columns);
  const points = Array.from({ length: n }, (_, i) => [
    ((i % columns) + 0.5) * (width / columns),
    (Math.floor(i / columns) + 0.5) * (height / rows),
  ]);
  return { r: Math.max(3, Math.min(width / columns, height / rows) / 2 - 2), labels: false, points };
}

export class Picture {
  constructor(box, { onOpen }) {
    this.box = box;
    this.onOpen = onOpen;
    this.workers = [];
    this.places = new Map();
    this.flights = [];
    this.now = 0;
    this.current = null; // the worker that Tab leads to
    this.svg = svg('svg', {
      role: 'group',
      'aria-label': 'Workers around the master; arrow keys go from one to the next',
    });
    this.links = svg('g', { 'aria-hidden': 'true' });
    this.hub = svg(
      'g',
      { class: 'hub', 'aria-hidden': 'true' },
      svg('rect', { width: kHub.width, height: kHub.height, rx: 14 }),
      svg('text', { x: kHub.width / 2, y: 25, 'font-size': 15 }),
      svg('text', { class: 'sub', x: kHub.width / 2, y: 43, text: 'agents, by the master' }),
    );
    this.nodes = svg('g');
    this.svg.append(this.links, this.hub, this.nodes);
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.tip = el('div', { class: 'tip', hidden: true });
    box.append(this.svg, this.canvas, this.tip);
    this.calm = matchMedia('(prefers-reduced-motion: reduce)');
    this.reads();
    document.addEventListener('theme', () => this.reads());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.reads());
    new ResizeObserver(() => this.resized()).observe(box);
    this.svg.addEventListener('keydown', (event) => this.key(event));
  }

  // The colours of the canvas are those of the page.
  reads() {
    ({ color: this.colour, outlineColor: this.ground } = getComputedStyle(this.canvas));
  }

  resized() {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.getContext('2d').setTransform(scale, 0, 0, scale, 0, 0);
    this.arrange(true);
  }

  update(workers, agents, now) {
    this.now = now;
    const same =
      workers.length === this.workers.length && workers.every((w, i) => w.node === this.workers[i].node);
    this.workers = workers;
    setText(this.hub.querySelector('text'), short(agents));
    if (same) this.paint();
    else this.arrange();
  }

  arrange(force = false) {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (!width || !height || (!this.workers.length && !force)) return;
    setAttribute(this.svg, 'viewBox', `0 0 ${width} ${height}`);
    setAttribute(
      this.hub,
      'transform',
      `translate(${width / 2 - kHub.width / 2} ${height / 2 - kHub.height / 2 - 6})`,
    );
    this.shape = layout(Math.max(1, this.workers.length), width, height);
    this.svg.style.setProperty('--link', this.workers.length <= 24 ? 'var(--faint)' : 'var(--line)');
    this.prefix = this.workers.length > 24 ? commonPrefix(this.workers.map((w) => w.node)) : '';
    this.places = new Map(this.workers.map((w, i) => [w.node, this.shape.points[i]]));
    this.middle = [width / 2, height / 2];
    this.drawn = new Map();
    this.paint();
  }

  paint() {
    if (!this.shape) return;
    if (!this.places.has(this.current)) this.current = this.workers[0]?.node ?? null;
    keyed(
      this.links,
      this.workers,
      (w) => w.node,
      () => svg('line', { class: 'link' }),
      (line, w) => {
        const [x, y] = this.places.get(w.node);
        setAttribute(line, 'x1', this.middle[0]);
        setAttribute(line, 'y1', this.middle[1]);
        setAttribute(line, 'x2', x);
        setAttribute(line, 'y2', y);
        setAttribute(line, 'data-state', linkState(w));
      },
    );
    keyed(
      this.nodes,
      this.workers,
      (w) => w.node,
      (w) => this.make(w),
      (node, w) => this.draw(node, w),
    );
  }

  make(w) {
    const name = w.node;
    const node = svg(
      'g',
      { class: 'worker', role: 'button', tabindex: '-1' },
      svg('circle', { class: 'halo' }),
      svg('circle', { class: 'disc' }),
      svg('circle', { class: 'ring' }),
      ...kStatuses.map((status) =>
        svg('circle', { class: 'part', 'data-status': status, transform: 'rotate(-90)' }),
      ),
      svg('text', { class: 'number' }),
      svg('text', { class: 'name' }),
      svg('circle', { class: 'agree' }),
    );
    node.addEventListener('click', () => this.onOpen(name));
    node.addEventListener('pointerenter', () => this.hint(name));
    node.addEventListener('pointerleave', () => (this.tip.hidden = true));
    node.addEventListener('focus', () => this.hint(name));
    node.addEventListener('blur', () => (this.tip.hidden = true));
    return node;
  }

  draw(node, w) {
    setAttribute(node, 'tabindex', w.node === this.current ? 0 : -1);
    setAttribute(node, 'aria-label', words_of(w, this.now));
    const { r, labels } = this.shape;
    const [x, y] = this.places.get(w.node);
    const look = [x, y, r, agreement(w), ...kStatuses.map((name) => w[name])].join();
    if (this.drawn.get(w.node) === look) return;
    this.drawn.set(w.node, look);
    setAttribute(node, 'transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    const [halo, disc, ring, ...rest] = node.children;
    const [number, name, agree] = rest.slice(kStatuses.length);
    const thick = Math.max(2.5, r * 0.19),
      radius = r - thick / 2;
    setAttribute(halo, 'r', r + 4);
    setAttribute(disc, 'r', r);
    setAttribute(ring, 'r', radius);
    setAttribute(ring, 'stroke-width', thick);
    const all = total(w),
      round = 2 * Math.PI * radius;
    let begin = 0;
    for (const [i, status] of kStatuses.entries()) {
      // What there is shows, however little it is.
      const part = all === 0 || w[status] === 0 ? 0 : Math.max((w[status] / all) * round, 2.5);
      setAttribute(rest[i], 'r', radius);
      setAttribute(rest[i], 'stroke-width', thick);
      setAttribute(rest[i], 'stroke-dasharray', `${part.toFixed(2)} ${round.toFixed(2)}`);
      setAttribute(rest[i], 'stroke-dashoffset', (-begin).toFixed(2));
      setAttribute(rest[i], 'visibility', part ? 'visible' : 'hidden');
      begin += part;
    }
    setText(number, r >= 11 ? short(all) : '');
    setAttribute(number, 'font-size', Math.max(8.5, Math.min(15, r * 0.5)).toFixed(1));
    setAttribute(number, 'dy', '.35em');
    const room = Math.floor((r * 2 + 22) / 6);
    const shown = w.node.slice(this.prefix.length);
    setText(name, labels ? (shown.length > room ? `${shown.slice(0, room - 1)}…` : shown) : '');
    setAttribute(name, 'y', r + 14);
    setAttribute(name, 'font-size', r >= 24 ? 12.5 : 10.5);
    setAttribute(agree, 'r', Math.max(2.5, r * 0.16).toFixed(1));
    setAttribute(agree, 'cx', (r * 0.74).toFixed(1));
    setAttribute(agree, 'cy', (-r * 0.74).toFixed(1));
    setAttribute(agree, 'data-state', agreement(w));
    // There is no room for it where nothing is wrong.
    setAttribute(
      agree,
      'visibility',
      r < 11 && ['equal', 'unknown'].includes(agreement(w)) ? 'hidden' : 'visible',
    );
  }

  hint(name) {
    const w = this.workers.find((one) => one.node === name);
    const place = this.places.get(name);
    if (!w || !place) return;
    this.tip.replaceChildren(
      el('b', { text: w.node }),
      ...kStatuses.filter((s) => w[s] > 0).map((s) => el('div', { text: `${count(w[s])} ${s}` })),
      el('div', { text: `Lease ${words(w.lease.status)}, digest ${agreementWords(w, this.now)}` }),
    );
    this.tip.hidden = false;
    const [x, y] = place,
      { r } = this.shape;
    const left = Math.min(
      Math.max(4, x - this.tip.offsetWidth / 2),
      this.box.clientWidth - this.tip.offsetWidth - 4,
    );
    const above = y - r - this.tip.offsetHeight - 8;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${above > 0 ? above : y + r + 20}px`;
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const here = this.workers.findIndex((w) => w.node === this.current);
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      if (this.current) this.onOpen(this.current);
      return;
    }
    let to = null;
    if (event.key in steps) to = (here + steps[event.key] + this.workers.length) % this.workers.length;
    if (event.key === 'Home') to = 0;
    if (event.key === 'End') to = this.workers.length - 1;
    if (to === null || !this.workers.length) return;
    event.preventDefault();
    this.current = this.workers[to].node;
    this.paint();
    this.nodes.children[to].focus();
  }

  // ---- what moves

  // Moves between the same two workers, told at once, are one flight.
  fly(moves) {
    if (document.hidden || !this.shape) return;
    const together = new Map();
    for (const { from, to } of moves) {
      if (!this.places.has(from) || !this.places.has(to)) continue;
      const key = JSON.stringify([from, to]);
      together.set(key, { from, to, n: (together.get(key)?.n ?? 0) + 1 });
    }
    const began = performance.now();
    const most = [...together.values()]
      .sort((a, b) => b.n - a.n)
      .slice(0, kMostFlights - this.flights.length);
    for (const [i, flight] of most.entries()) {
      const speaks = flight.n > 2 && i < kMostWords;
      this.flights.push({
        ...flight,
        speaks,
        began: began + Math.random() * Math.min(600, most.length * 40),
      });
    }
    if (this.flights.length && !this.moving) {
      this.moving = true;
      requestAnimationFrame((at) => this.frame(at));
    }
  }

  frame(at) {
    const draw = this.canvas.getContext('2d');
    draw.clearRect(0, 0, this.box.clientWidth, this.box.clientHeight);
    this.flights = this.flights.filter((f) => at < f.began + kFlightMs + kFadeMs);
    for (const flight of this.flights) this.drawFlight(draw, flight, at);
    if (this.flights.length) requestAnimationFrame((next) => this.frame(next));
    else this.moving = false;
  }

  drawFlight(draw, { from, to, n, speaks, began }, at) {
    const a = this.places.get(from),
      b = this.places.get(to);
    if (!a || !b || at < began) return;
    // Around the master, not through it.
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const away = [middle[0] - this.middle[0], middle[1] - this.middle[1]];
    const far = Math.hypot(...away) || 1;
    const bend = far < 70 ? 90 / far : -0.25;
    const c = [middle[0] + away[0] * bend + (far < 1 ? 90 : 0), middle[1] + away[1] * bend];
    const t = this.calm.matches ? 1 : Math.min(1, (at - began) / kFlightMs);
    const eased = t < 0.5 ? 2 * t * t : 1 - (2 - 2 * t) ** 2 / 2;
    const fade = Math.min(1, Math.max(0, 1 - (at - began - kFlightMs) / kFadeMs));
    // From edge to edge.
    const edge = Math.min(0.4, (this.shape.r + 3) / (Math.hypot(a[0] - b[0], a[1] - b[1]) || 1));
    const on = (part) => {
      const s = edge + part * (1 - 2 * edge);
      return [0, 1].map((i) => (1 - s) ** 2 * a[i] + 2 * s * (1 - s) * c[i] + s * s * b[i]);
    };
    draw.strokeStyle = draw.fillStyle = this.colour;
    draw.lineCap = 'round';
    draw.globalAlpha = 0.75 * fade;
    draw.lineWidth = Math.min(5, 1.4 + Math.log2(n) / 2);
    draw.beginPath();
    for (let step = 0; step <= 20; ++step) {
      const [x, y] = on((step / 20) * eased);
      if (step === 0) draw.moveTo(x, y);
      else draw.lineTo(x, y);
    }
    draw.stroke();
    draw.globalAlpha = fade;
    const [x, y] = on(eased);
    draw.beginPath();
    draw.arc(x, y, Math.min(8, 2.2 + this.shape.r / 25 + Math.log2(n)), 0, 7);
    draw.fill();
    if (!speaks) return;
    draw.font = '600 12px system-ui, sans-serif';
    draw.textAlign = 'center';
    draw.lineWidth = 4;
    draw.strokeStyle = this.ground;
    draw.strokeText(some(n, 'agent'), x, y - 13);
    draw.fillText(some(n, 'agent'), x, y - 13);
  }
}
