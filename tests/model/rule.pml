/* The rule of docs/protocol.md, sections 2, 3, 9 and 11, for two workers and one agent, small enough
 * to be checked in every possible order: tests/model/run.
 *
 * The agent moves up to MOVES times, with or without goodbye, and speaks up to SPEAKS times more;
 * each contact is seen with an interval that may or may not overlap the one before. Workers look
 * when they like, messages take as long as they like. One crash (of a sidecar, or of the master
 * before it made its decisions durable) and one lost connection strike at any moment, unless
 * NO_FAULTS. What a worker said and was not acked for, it says again.
 *
 * At the end, when nothing more can happen and the agent spoke as long as it is somewhere, the
 * master shows it where it is, or nowhere. On the way its record's version never goes back.
 *
 * Left out: stores that are lost or come back older, clocks (moments are those of one clock),
 * info, leases, inventories. */

#ifndef MOVES
#define MOVES 2
#endif
#ifndef SPEAKS
#define SPEAKS 1
#endif
#define FINALS 3 /* contacts after everything else came to rest */
#define QUEUE 7
#define NOWHERE 2

mtype = { opened, confirmed, closed, released, contact, superseded, challenge };
mtype:phase = { none, open, gone, over }; /* over: released */

typedef Event { mtype kind; byte epoch; byte change; byte lo; byte hi };

typedef Worker {
  /* The table: the last contact, and whether the agent counts as there. */
  bool here; byte row_lo; byte row_hi;
  /* The sidecar; all of it is durable but `due`. */
  byte seen; mtype:phase phase = none; byte epoch; byte change; byte lo; byte hi; byte fence;
  byte due; /* to be confirmed after this moment; 0: nothing */
  Event queue[QUEUE]; byte length; /* not acked */
  bool connected = true
};

typedef Record {
  byte epoch; byte node; byte change; bool is_open; byte lo; byte heard[2]; /* contacts */
  byte taken[2]; /* of each worker's queue */
  byte open_epoch[2] /* what each worker's own events left open; 0: nothing */
};

Worker w[2];
Record m, durable; /* what the master believes, and what a crash leaves of it */
byte asked; /* up to which moment, on this connection: not asked twice */
chan down[2] = [2] of { mtype, byte, byte, bool }; /* kind, epoch or moment, node, open */
byte place = NOWHERE, now = 2, moves, speaks, finals;
#ifdef NO_FAULTS
bool crashed = true, lost = true;
#else
bool crashed, lost;
#endif
byte s, acked; /* of the step that runs */
bool newer, fresh;

#define VERSION_NEWER(e, n, c) \
  (e > m.epoch || (e == m.epoch && (n > m.node || (n == m.node && c > m.change))))
#ifdef NODE_IGNORED
#define ACCEPTS(e, n, c) (e > m.epoch || (e == m.epoch && c > m.change))
#elif defined(LAST_WRITER_WINS)
#define ACCEPTS(e, n, c) true
#elif defined(CHANGE_FIRST)
#define ACCEPTS(e, n, c) (c > m.change || (c == m.change && VERSION_NEWER(e, n, c)))
#else
#define ACCEPTS(e, n, c) VERSION_NEWER(e, n, c)
#endif

/* ---- the agent ---- */

inline speak(x) {
  now++;
  w[x].here = true; w[x].row_hi = now;
  if :: w[x].row_lo = now :: w[x].row_lo = now - 1 fi
}
inline leave() {
  if
  :: place != NOWHERE -> if :: w[place].here = false :: skip fi
  :: else
  fi;
  place = NOWHERE
}

/* ---- a worker's sidecar ---- */

inline emit(x, what) {
  assert(w[x].length < QUEUE);
  w[x].queue[w[x].length].kind = what;
  w[x].queue[w[x].length].epoch = w[x].epoch;
  w[x].queue[w[x].length].change = w[x].change;
  w[x].queue[w[x].length].lo = w[x].lo;
  w[x].queue[w[x].length].hi = w[x].hi;
  w[x].length++
}
inline say(x, what) { w[x].change++; emit(x, what) }
inline claim(x) {
  w[x].epoch = (w[x].lo > w[x].epoch -> w[x].lo : w[x].epoch + 1);
  w[x].change = 0; w[x].phase = open; w[x].due = 0;
  emit(x, opened)
}
inline end(x, what, as) { w[x].phase = as; w[x].due = 0; say(x, what) }

/* Room for the events of one step; never short of it at rest, see the end. */
#define ROOM(x) (w[x].length + 2 <= QUEUE)
#define SEES(x) (w[x].row_hi > w[x].seen || (!w[x].here && w[x].phase == open))

inline look(x) {
  fresh = w[x].row_hi > w[x].seen;
  w[x].seen = w[x].row_hi;
  if
  :: fresh -> w[x].lo = w[x].row_lo; w[x].hi = w[x].row_hi
  :: else
  fi;
  if
  :: w[x].phase == open && !w[x].here -> end(x, closed, gone)
  :: w[x].phase == open && w[x].here ->
     if
     :: w[x].due != 0 && w[x].lo > w[x].due -> w[x].due = 0; say(x, confirmed)
     :: else
     fi
  :: w[x].phase != open && fresh && w[x].lo > w[x].fence ->
     claim(x);
     if :: !w[x].here -> end(x, closed, gone) :: else fi
  :: w[x].phase != open && fresh && w[x].lo <= w[x].fence && w[x].hi > w[x].fence -> emit(x, contact)
  :: else
  fi
}

inline hear(x) {
  d_step {
  mtype kind; byte at; byte node; bool is_open;
  down[x] ? kind, at, node, is_open;
  if
  :: kind == superseded && w[x].phase == open &&
     (at > w[x].epoch || (at == w[x].epoch && node > x)) ->
     if
     :: w[x].lo > at -> claim(x)
     :: else -> w[x].fence = at; end(x, released, over)
     fi
  :: kind == challenge && w[x].phase == open && node == w[x].epoch ->
     if
     :: w[x].lo > at -> say(x, confirmed)
     :: else -> w[x].due = (at > w[x].due -> at : w[x].due)
     fi
  :: else
  fi;
  kind = 0; at = 0; node = 0; is_open = 0
  }
}

/* ---- the master ---- */

#define IN_DOUBT (m.is_open && m.heard[1 - m.node] >= m.lo)

inline ask() {
  if
  :: IN_DOUBT && m.heard[1 - m.node] > asked && w[m.node].connected &&
     len(down[m.node]) < 2 ->
     asked = m.heard[1 - m.node];
     down[m.node] ! challenge, m.heard[1 - m.node], m.epoch, true
  :: else
  fi
}
inline tell(x) {
  if
  :: w[x].connected && len(down[x]) < 2 -> down[x] ! superseded, m.epoch, m.node, m.is_open
  :: else
  fi
}

/* Room for what one event makes the master say. */
#define CAN_TELL (len(down[0]) == 0 && len(down[1]) == 0)

#define E w[x].queue[m.taken[x]]
inline take(x) {
  m.heard[x] = (E.hi > m.heard[x] -> E.hi : m.heard[x]);
  if
  :: E.kind != contact ->
     m.open_epoch[x] = (E.kind == opened || E.kind == confirmed -> E.epoch : 0);
     newer = VERSION_NEWER(E.epoch, x, E.change);
     if
     :: ACCEPTS(E.epoch, x, E.change) ->
        assert(newer || (E.epoch == m.epoch && x == m.node && E.change == m.change));
        m.lo = (E.epoch == m.epoch && x == m.node && m.lo > E.lo -> m.lo : E.lo);
        if :: E.epoch != m.epoch || x != m.node -> asked = 0 :: else fi;
        m.epoch = E.epoch; m.node = x; m.change = E.change;
        m.is_open = (E.kind == opened || E.kind == confirmed);
#ifndef LOSER_NOT_TOLD
        if :: m.open_epoch[1 - x] != 0 -> tell(1 - x) :: else fi
#endif
     :: else ->
        if :: m.open_epoch[x] != 0 && m.node != x -> tell(x) :: else fi
     fi
  :: else
  fi;
  m.taken[x]++;
  ask()
}
#undef E

inline copy(to, from) {
  to.epoch = from.epoch; to.node = from.node; to.change = from.change; to.is_open = from.is_open;
  to.lo = from.lo;
  to.heard[0] = from.heard[0]; to.heard[1] = from.heard[1];
  to.taken[0] = from.taken[0]; to.taken[1] = from.taken[1];
  to.open_epoch[0] = from.open_epoch[0]; to.open_epoch[1] = from.open_epoch[1]
}
#ifdef ACK_BEFORE_COMMIT
#define ACKS m
#else
#define ACKS durable
#endif
inline ack(x) {
  acked = ACKS.taken[x];
  s = 0;
  do
  :: s + acked < w[x].length ->
     w[x].queue[s].kind = w[x].queue[s + acked].kind;
     w[x].queue[s].epoch = w[x].queue[s + acked].epoch;
     w[x].queue[s].change = w[x].queue[s + acked].change;
     w[x].queue[s].lo = w[x].queue[s + acked].lo;
     w[x].queue[s].hi = w[x].queue[s + acked].hi;
     s++
  :: else -> break
  od;
  w[x].length = s;
  m.taken[x] = m.taken[x] - acked;
  durable.taken[x] = (durable.taken[x] > acked -> durable.taken[x] - acked : 0);
  do
  :: s < QUEUE ->
     w[x].queue[s].kind = 0; w[x].queue[s].epoch = 0; w[x].queue[s].change = 0;
     w[x].queue[s].lo = 0; w[x].queue[s].hi = 0; s++
  :: else -> break
  od;
  s = 0; acked = 0
}

/* ---- what goes wrong ---- */

inline disconnect(x) {
  do :: len(down[x]) > 0 -> down[x] ? _, _, _, _ :: else -> break od;
  m.taken[x] = 0; durable.taken[x] = 0; /* all that is not acked is said again */
  w[x].connected = false
}
inline connect(x) {
  w[x].connected = true;
  if :: m.open_epoch[x] != 0 && m.node != x -> tell(x) :: else fi;
  if :: m.node == x -> asked = 0; ask() :: else fi
}

active proctype cluster() {
  do
  :: d_step { moves < MOVES -> moves++ };
     atomic { leave(); if :: place = 0; speak(0) :: place = 1; speak(1) :: skip fi }
  :: atomic { place != NOWHERE && speaks < SPEAKS -> speaks++; speak(place) }
  :: d_step { ROOM(0) && SEES(0) -> look(0) }
  :: d_step { ROOM(1) && SEES(1) -> look(1) }
  /* Silence: only of an agent that is not there. */
  :: d_step { ROOM(0) && !SEES(0) && w[0].phase == open && place != 0 ->
              w[0].here = false; end(0, closed, gone) }
  :: d_step { ROOM(1) && !SEES(1) && w[1].phase == open && place != 1 ->
              w[1].here = false; end(1, closed, gone) }
  :: d_step { w[0].connected && m.taken[0] < w[0].length && CAN_TELL -> take(0) }
  :: d_step { w[1].connected && m.taken[1] < w[1].length && CAN_TELL -> take(1) }
  :: atomic { len(down[0]) > 0 && ROOM(0) -> hear(0) }
  :: atomic { len(down[1]) > 0 && ROOM(1) -> hear(1) }
  /* Durable, and then acked; what is acked need not be at once. */
  :: d_step { m.taken[0] + m.taken[1] > durable.taken[0] + durable.taken[1] -> copy(durable, m) }
  :: d_step { w[0].connected && ACKS.taken[0] > 0 -> ack(0) }
  :: d_step { w[1].connected && ACKS.taken[1] > 0 -> ack(1) }
  :: d_step { !lost && w[0].connected -> lost = true; disconnect(0) }
  :: d_step { !lost && w[1].connected -> lost = true; disconnect(1) }
  :: d_step { !w[0].connected -> connect(0) }
  :: d_step { !w[1].connected -> connect(1) }
  :: d_step { !crashed -> crashed = true; disconnect(0); w[0].due = 0 }
  :: d_step { !crashed -> crashed = true; disconnect(1); w[1].due = 0 }
  :: d_step { !crashed -> crashed = true; copy(m, durable); disconnect(0); disconnect(1) }
  :: timeout ->
     assert(w[0].length == 0 && w[1].length == 0);
     if
     :: atomic { place != NOWHERE && finals < FINALS -> finals++; speak(place) }
     :: else -> break
     fi
  od;
  assert(place == NOWHERE -> !m.is_open : (m.is_open && m.node == place))
}
