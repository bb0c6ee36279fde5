"""The rules, each broken on purpose by a small edit at the branch that implements it.

`old` must be in the file exactly `count` times, so that an entry cannot go stale unnoticed: whoever
changes the rule's code changes the entry with it.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str
    count: int = 1


@dataclass(frozen=True)
class Mutation:
    name: str
    why: str  # what goes wrong without the rule
    edits: tuple[Edit, ...]
    seeds: int = 3000  # how many the simulator may need to notice
    unit: tuple[str, str] | None = None  # instead: a program of unit tests, and its filter


MUTATIONS = [
    # ---- the one rule ------------------------------------------------------------------------
    Mutation(
        "node ignored in the comparison",
        "two workers' sessions of one epoch are taken for one",
        (Edit("protocol/agent_record.cc",
              "if (has_session() && version <= top) {",
              "if (has_session() && std::pair(version.epoch, version.change) <=\n"
              "                           std::pair(top.epoch, top.change)) {"),
         Edit("protocol/agent_record.cc",
              "    if (version < top) return Rule::older;\n",
              "    if (version.epoch < top.epoch || version.change < top.change)\n"
              "      return Rule::older;\n"))),
    Mutation(
        "change compared before node",
        "a session that changed often beats one of the same epoch",
        (Edit("protocol/agent_record.cc",
              "if (has_session() && version <= top) {",
              "if (has_session() && std::tie(version.epoch, version.change, version.node) <=\n"
              "                           std::tie(top.epoch, top.change, top.node)) {"),
         Edit("protocol/agent_record.cc",
              "    if (version < top) return Rule::older;\n",
              "    if (version != top) return Rule::older;\n"),
         Edit("protocol/agent_record.cc", "#include <algorithm>", "#include <algorithm>\n#include <tuple>")),
        seeds=10000),
    Mutation(
        "evidence of refused events dropped",
        "a ghost on top is never doubted",
        (Edit("protocol/agent_record.cc",
              "  raise_contact(node, at_hi);\n",
              "  if (event.kind == EventKind::contact || !has_session() ||\n"
              "      Version{event.epoch, node, event.change} > top)\n"
              "    raise_contact(node, at_hi);\n"),),
        # In the simulator an agent's silence ends its ghost soon enough.
        unit=("master_core_test", "MasterCoreTest.*Winner*:MasterCoreTest.*Doubt*")),
    Mutation(
        "doubt ignored",
        "a ghost stays until a reaper comes",
        (Edit("protocol/agent_record.cc",
              "  if (!is_open()) return std::nullopt;\n",
              "  if (!is_open() || true) return std::nullopt;\n"),),
        # In the simulator an agent's silence ends its ghost soon enough.
        unit=("master_core_test", "MasterCoreTest.DoubtSurvives*")),
    Mutation(
        "epochs from the future accepted",
        "a worker whose clock estimate is off holds an agent for as long as it is off",
        (Edit("protocol/agent_record.cc",
              "if (event.epoch > epoch_at({now.us + kFutureToleranceUs}))",
              "if (false)"),),
        # In the simulator a sidecar's estimate is never off by more than a round trip.
        unit=("master_core_test", "MasterCoreTest.*Future*")),
    # ---- the stream --------------------------------------------------------------------------
    Mutation(
        "seq deduplication across streams",
        "a restarted sidecar's first events are dropped",
        (Edit("master/core/state.cc",
              "    node.last_seq = r.first_seq - 1;\n",
              "    node.last_seq = std::max(node.last_seq, r.first_seq - 1);\n"),
         Edit("master/core/master_core.cc",
              """        add_exception(seq, d.node, e, rule, r, now, ack);
        continue;
      }
    }
""",
              "      }\n      continue;\n    }\n"))),
    Mutation(
        "duplicates answered without their exceptions",
        "a lost ACK takes SUPERSEDED with it",
        (Edit("master/core/master_core.cc",
              "        add_exception(seq, d.node, e, rule, r, now, ack);\n",
              ""),),
        # What is lost is said again at the next HELLO, or heard of again by the next event.
        unit=("master_core_test", "MasterCoreTest.*Duplicate*")),
    Mutation(
        "nothing sent again after a reconnect",
        "what was under way is lost",
        (Edit("sidecar/core/sidecar_core.cc",
              "  link_ = Link::down;\n"
              "  // All that was sent and not acked is sent again, under the seqs that it had.\n"
              "  next_unsent_ = 0;\n",
              "  link_ = Link::down;\n"),)),
    Mutation(
        "send before commit",
        "a crash leaves events at the master that the sidecar knows nothing of",
        (Edit("sidecar/core/sidecar_core.cc",
              "if (e.ticket > stored_ticket_ || e.event.epoch == kUnstamped) break;",
              "if (e.event.epoch == kUnstamped) break;"),)),
    Mutation(
        "ACK before commit",
        "a crash of the master loses what the sidecar dropped already",
        (Edit("master/core/master_core.cc",
              "waiting_.push_back({pending_.empty() ? ticket_ : ticket_ + 1, conn, ",
              "waiting_.push_back({0, conn, "),)),
    # ---- older copies, terms -----------------------------------------------------------------
    Mutation(
        "closed sessions not told again to a new term",
        "an agent that left stays active at a master that lost the close",
        (Edit("sidecar/core/tracker_answers.cc",
              "    dirty_.insert(agent);\n    tell(agent, state);\n",
              "    dirty_.insert(agent);\n    if (is_open(state)) tell(agent, state);\n"),),
        # The inventory that follows finds it.
        unit=("sidecar_core_test", "SidecarCore.ANewTermIsToldClosed*")),
    Mutation(
        "a release outlives the term of its winner",
        "an agent cannot claim at a master that lost the winner, and the time it was in",
        (Edit("sidecar/core/tracker_answers.cc",
              "    state.session->fence = kUnstamped;\n    state.session->fence_node.clear();\n"
              "    dirty_.insert(agent);\n    tell",
              "    tell"),),
        unit=("sidecar_core_test", "TrackerMaster.ANewTermMayHave*")),
    Mutation(
        "nothing told again to a new master or term",
        "what it lost stays lost",
        (Edit("sidecar/core/sidecar_core.cc", "    tracker_.tell_everything(now);\n", ""),)),
    Mutation(
        "a master's older log not noticed",
        "what was acked and lost is not told again",
        (Edit("master/core/master_core.cc",
              "    if (may_be_older_copy_ && ",
              "    if (false && "),
         Edit("master/core/master_core.cc",
              "  if (may_be_older_copy_) {\n",
              "  if (false) {\n"))),
    Mutation(
        "a sidecar's older store not noticed",
        "its versions are given a second meaning",
        (Edit("master/core/master_core.cc",
              "    return log.stream != m.stream && m.start_position < log.position;\n",
              "    return false;\n"),
         Edit("master/core/master_core.cc",
              "  if (known != state_.nodes().end()) return true;\n",
              "  if (known != state_.nodes().end()) return false;\n")),
        # The inventory that follows finds what it forgot.
        unit=("master_core_test", "MasterCoreTest.AStoreThatHasSaid*")),
    Mutation(
        "an older copy within one session goes on from where it was",
        "its changes are refused as older ones",
        (Edit("sidecar/core/tracker_answers.cc", "    s.change = top.change;\n", "    return;\n"),),
        # Most older copies are told apart by position before it comes to this.
        unit=("sidecar_core_test", "TrackerSuperseded.AnOlderCopy*")),
    Mutation(
        "the own node's winner ignored",
        "a sidecar with a lost disk cannot get its agents back, nor close them",
        (Edit("sidecar/core/tracker_answers.cc",
              "  if (top.node == own_node_) {\n",
              "  if (top.node == own_node_) return;\n  if (top.node == own_node_) {\n"),)),
    Mutation(
        "the own node's winner outbid before a look",
        "after a restart an agent that left meanwhile is claimed",
        (Edit("sidecar/core/tracker_answers.cc",
              "    if (state.seen_at_look != 0 || is_kept(state)) return outbid_own(agent, state, winner, now);\n",
              "    return outbid_own(agent, state, winner, now);\n"),),
        # The look that follows within a second ends the claim again.
        unit=("sidecar_core_test", "TrackerRestored.*")),
    Mutation(
        "ends not answered by SUPERSEDED",
        "after a lost disk an agent's close is refused and nobody hears of it",
        (Edit("master/core/master_core.cc",
              ": e.kind != EventKind::contact && r.is_open() &&",
              ": false && r.is_open() &&"),),
        # The next inventory finds it.
        unit=("master_core_test", "MasterCoreTest.AnEndOfAnOlderSession*")),
    # ---- reconciliation ----------------------------------------------------------------------
    Mutation(
        "digest over the table instead of the stream",
        "a move elsewhere makes the old worker differ",
        (Edit("master/core/state.cc",
              "    const Rule rule = record.apply(r.node, e, r.at);\n",
              "    const NodeName owner = record.top.node;\n"
              "    const Rule rule = record.apply(r.node, e, r.at);\n"
              "    if (accepted(rule) && owner != r.node && nodes_.contains(owner))\n"
              "      nodes_.at(owner).open.erase(e.agent);\n"),)),
    Mutation(
        "gap never accepted",
        "a worker whose acked events the master lost can never speak to it again",
        (Edit("master/core/master_core.cc",
              "  conn.expected_seq = m.first_seq;\n",
              "  conn.expected_seq = 1;\n"),)),
    Mutation(
        "lease begun for all at master start",
        "workers that were gone before are there again",
        (Edit("master/core/master_core.cc",
              "    begin_term(may_have_lost_, out);\n"
              "  }\n",
              "    begin_term(may_have_lost_, out);\n"
              "  }\n"
              "  for (const auto& [name, node] : std::map(state_.nodes()))\n"
              "    log_lease(LeaseChanged{name, LeaseStatus::valid, LeaseCause::none, {}}, now, out);\n"),),
        unit=("master_core_test", "LeaseTest.AfterAStartOnly*")),
    Mutation(
        "leases do not lapse",
        "a worker that is gone for good has its agents for ever",
        (Edit("master/core/leases.cc",
              "    if (!cause) continue;\n",
              "    continue;\n"),)),
    Mutation(
        "equal digests confirm nothing",
        "workers lapse although both sides agree",
        (Edit("master/core/master_core_reconcile.cc",
              "    r.walks = 0;\n"
              "    log_lease(leases_.confirmed(state_, conn.node, lease_times(), now), now, out);\n",
              "    r.walks = 0;\n"),)),
    Mutation(
        "freeze ignored",
        "agents expire during an operator's work on the network",
        (Edit("master/core/leases.cc",
              "until && *until > at) {\n",
              "false) {\n"),),
        unit=("master_core_test", "LeaseTest.AFreeze*")),
    Mutation(
        "absent sessions stay",
        "a store that was lost leaves what it knew on the table",
        (Edit("master/core/reconciliation.cc",
              "          found_.absent.push_back({agent, session});\n",
              ""),)),
    Mutation(
        "went_back ignored",
        "a worker that forgot a change is never told, and both sides differ for ever",
        (Edit("master/core/reconciliation.cc",
              "    found_.went_back.push_back({entry.agent, *own});\n",
              ""),),
        unit=("master_core_test", "ReconciliationTest.AWorkerThatWentBack*")),
    Mutation(
        "equal sessions that do not stand not told",
        "a SUPERSEDED that was lost with its connection is never said again",
        (Edit("master/core/reconciliation.cc",
              "    found_.not_standing.push_back(entry.agent);\n",
              ""),),
        # The next HELLO tells it too.
        unit=("master_core_test", "ReconciliationTest.AnEqualSession*")),
    Mutation(
        "digest sent while resending",
        "both sides compare different moments, and differ without a reason",
        (Edit("sidecar/core/sidecar_reconcile.cc",
              "  return told && !to_be_sent_again && ",
              "  return told && "),
         Edit("sidecar/core/sidecar_reconcile.cc",
              "  return (to_be_sent_again ? outbox_[next_unsent_].seq : next_seq_) - 1;\n",
              "  return next_seq_ - 1;\n"),
         Edit("sidecar/core/sidecar_reconcile.cc",
              "std::uint64_t SidecarCore::last_sent_seq() const {\n"
              "  const bool to_be_sent_again = next_unsent_ < outbox_.size() && "
              "outbox_[next_unsent_].seq != 0;\n",
              "std::uint64_t SidecarCore::last_sent_seq() const {\n")),
        # It costs a connection now and then.
        unit=("sidecar_core_test", "ReconcilerTest.WhatIsSentAgain*")),
    Mutation(
        "an entry refused for the time kept in the sidecar's set",
        "it differs from the master's until everything is told anew",
        (Edit("sidecar/core/sidecar_core.cc",
              "      if (put_back.insert(e.event.agent).second) "
              "reconciler_.put_back(e.event.agent, e.before);\n",
              ""),),
        unit=("sidecar_core_test", "ReconcilerModel.*")),
    Mutation(
        "digests before the source was heard out",
        "a sidecar with an empty store has all its agents closed before it looked",
        (Edit("sidecar/core/sidecar_core.cc",
              "  set_source_first(!heard_out());\n",
              "  source_first_ = false;\n"),
         Edit("sidecar/core/sidecar_core.cc",
              "    source_first_ |= acked_position_ == 0 || "
              "read_meta(image, \"source_first\") != 0;\n",
              "")),
        # A lost store, and a source that is not there: rare.
        unit=("sidecar_core_test", "ReconcilerTest.AStoreThatKnowsNothing*")),
    Mutation(
        "a renamed node's store taken as it is",
        "nothing is told under the new name",
        (Edit("sidecar/core/sidecar_reconcile.cc",
              "  if (node.empty() || node == config_.node) {\n",
              "  if (true) {\n"),),
        # The master knows whose store it is, and says that it is to be a new one.
        unit=("sidecar_core_test", "ReconcilerTest.ARenamedNode*")),
    # ---- time --------------------------------------------------------------------------------
    Mutation(
        "master time stepping back",
        "new sessions are older than what stands",
        (Edit("master/core/master_time.h",
              "const bool goes_on = last.boot == boot && last.until.us != 0;",
              "const bool goes_on = false;"),
         Edit("master/core/master_time.h",
              "const MasterTime begin{std::max(now.wall_us, last.until.us)};",
              "const MasterTime begin{now.wall_us};"))),
    Mutation(
        "master time begins anew at every restart",
        "it jumps ahead by its reservation each time",
        (Edit("master/core/master_time.h",
              "const bool goes_on = last.boot == boot && last.until.us != 0;",
              "const bool goes_on = false;"),),
        # Sidecars translate by runs, so that no table is wrong for it.
        unit=("master_core_test", "MasterTime.*")),
    Mutation(
        "one translation for all runs of the master's time",
        "moments of before its reboot move with it",
        (Edit("sidecar/core/timeline.h",
              "      if (clock_.known()) runs_.push_back(present(t3));\n",
              ""),),
        # Such a jump meets a CHALLENGE once in thousands of seeds.
        unit=("sidecar_core_test", "Timeline.*")),
    Mutation(
        "moments of another boot are now",
        "old evidence becomes fresh by a reboot",
        (Edit("sidecar/core/timeline.h",
              ": std::min<std::int64_t>(0, now.boot_us - (now.wall_us - m.wall_us));",
              ": now.boot_us;"),)),
    Mutation(
        "moments of another boot by wall clock alone",
        "a wall clock that was set puts old evidence after new",
        (Edit("sidecar/core/timeline.h",
              ": std::min<std::int64_t>(0, now.boot_us - (now.wall_us - m.wall_us));",
              ": now.boot_us - (now.wall_us - m.wall_us);"),)),
    # ---- evidence ----------------------------------------------------------------------------
    Mutation(
        "the looks do not bound evidence",
        "a wall clock that steps makes evidence of the future or the past",
        (Edit("sidecar/core/tracker.cc",
              "if (second > now.boot_us || second + 1'000'000 < before) {",
              "if (false) {"),
         Edit("sidecar/core/tracker.cc", "      lo = std::max(lo, before);\n", ""))),
    Mutation(
        "the row's second ignored",
        "after a time without looks, evidence is as wide as that time",
        (Edit("sidecar/core/tracker.cc",
              "    lo = std::max(lo, before);\n",
              "    lo = before; hi = now.boot_us;\n"),),
        # Wider evidence raises more doubt, which ends well: only later.
        unit=("sidecar_core_test", "TrackerLook.*")),
    Mutation(
        "a late disconnect in the master's own rows believed",
        "Wazuh's sync ends sessions of agents that are there",
        (Edit("sidecar/source/own_rows.cc",
              "    if (k.silent_us < keepalive_us * 5 / 2) return;\n",
              ""),),
        unit=("sidecar_source_test", "OwnRowsTest.ADisconnectThatRemotedDidNotCount*")),
    Mutation(
        "a late keepalive in the master's own rows believed",
        "Wazuh's sync brings agents back that have stopped",
        (Edit("sidecar/source/own_rows.cc",
              "leaves ? moved(*k.counts, *counted, &Counts::shutdown) : spoke(*k.counts, *counted)",
              "leaves ? moved(*k.counts, *counted, &Counts::shutdown) : true"),),
        unit=("sidecar_source_test", "OwnRowsTest.AKeepaliveThatRemotedDidNotCount*")),
    Mutation(
        "short visit ignored",
        "another worker's ghost stays on top",
        (Edit("sidecar/core/tracker.cc",
              "      visited(agent, state, evidence, reason_of(row.code), now);\n",
              ""),),
        # In the simulator an agent's silence ends its ghost soon enough.
        unit=("sidecar_core_test", "TrackerLook.AShortVisit*")),
    Mutation(
        "contact not told",
        "a visit within overlapping seconds leaves another worker's ghost",
        (Edit("sidecar/core/tracker.cc",
              "  } else if (beyond_fence(timeline_.at(evidence.hi, now), state)) {",
              "  } else if (false) {"),),
        # It takes a short visit within the second in which the agent was claimed elsewhere.
        unit=("sidecar_core_test", "TrackerSuperseded.*")),
    Mutation(
        "a look that leaves rows out bounds what it would not have shown",
        "a change that was missed is taken for new when it is found",
        (Edit("sidecar/core/tracker.cc",
              "  if (last_started_ && !shown && last_complete_started_) {\n",
              "  if (false) {\n"),),
        # The simulator's missed rows are found by looks at everything, mostly too late to matter.
        unit=("sidecar_core_test", "TrackerWindow.*")),
    Mutation(
        "a wall clock that was set not noticed by the source",
        "what agents write in seconds that were asked for before is missed for a minute",
        (Edit("sidecar/source/look_plan.cc",
              "  return passed >= least && passed <= most;\n",
              "  return true;\n"),),
        # The simulator's looks at everything come each ten seconds.
        unit=("sidecar_source_test", "LookPlanTest.*")),
    # ---- silence -----------------------------------------------------------------------------
    Mutation(
        "silence ignored",
        "an agent that left without a word is active until a reaper comes",
        (Edit("sidecar/core/tracker.cc",
              "    if (look.complete) close_if_silent(row.agent, state);\n",
              ""),)),
    Mutation(
        "silence counted while nobody looked",
        "agents are closed because wazuh-db was away or the machine slept",
        (Edit("sidecar/core/tracker.cc",
              "  covered_total_us_ += std::min(covered_us_, agent_timeout_us() / 4);\n",
              "  covered_total_us_ = look.finished.boot_us;\n"),),
        # The simulator's sources are blind for seconds, less than the timeout.
        unit=("sidecar_core_test", "TrackerSilence.*")),
    # ---- claims, releases, challenges --------------------------------------------------------
    Mutation(
        "release ignoring newer evidence",
        "an agent that comes back to a worker is not seen there",
        (Edit("sidecar/core/tracker.cc",
              "  if (!state.session) return true;\n",
              "  if (!state.session) return true;\n"
              "  if (state.session->phase == Phase::released) return false;\n"),)),
    Mutation(
        "no claim again with newer evidence",
        "the worker that has the agent gives it up until it is heard again",
        (Edit("sidecar/core/tracker_answers.cc",
              "  if (timeline_.at(s.evidence.lo, now) > time_of(top.epoch)) {\n",
              "  if (false) {\n"),),
        # Right again with the next keepalive.
        unit=("sidecar_core_test", "TrackerSuperseded.ClaimsAgain*")),
    Mutation(
        "claim again without newer evidence",
        "a ghost takes back an agent that moved on",
        (Edit("sidecar/core/tracker_answers.cc",
              "  if (timeline_.at(s.evidence.lo, now) > time_of(top.epoch)) {\n",
              "  if (timeline_.at(s.evidence.hi, now) > time_of(top.epoch)) {\n"),)),
    Mutation(
        "fence ignored",
        "after a release, evidence of before it claims the agent back",
        (Edit("sidecar/core/tracker.cc",
              " && beyond_fence(lo, state);",
              ";"),),
        # The claim is refused as older, and released again: only noise.
        unit=("sidecar_core_test", "TrackerSuperseded.*")),
    Mutation(
        "losers not told",
        "a sidecar believes for ever in a session that does not stand",
        (Edit("master/core/master_core.cc",
              "      tell_superseded(outcomes[i].other_owner, e.agent, now);\n",
              ""),),
        # The next inventory tells it.
        unit=("master_core_test", "MasterCoreTest.ThePreviousOwner*")),
    Mutation(
        "challenge not repeated after a reconnect",
        "a challenge that was under way when the link broke is lost",
        (Edit("master/core/master_core.cc",
              "  for (AgentId agent : asked) check_doubt(agent);\n",
              ""),),
        # The next event of any worker about the agent repeats it too.
        unit=("master_core_test", "MasterCoreTest.AChallengeIsRepeated*")),
    Mutation(
        "challenge confirmed without evidence",
        "a ghost confirms itself",
        (Edit("sidecar/core/tracker.cc",
              "  if (sent_lo(state.session->evidence, now) > state.due->upto) {\n",
              "  if (true) {\n"),),
        unit=("sidecar_core_test", "TrackerChallenge.WithoutEvidence*")),
    Mutation(
        "challenge never expires",
        "a ghost never gives up",
        (Edit("sidecar/core/tracker.cc",
              "  if (state.due->covered_us <= patience_us(state)) return;\n",
              "  return;\n"),),
        unit=("sidecar_core_test", "TrackerChallenge.WithoutEvidence*")),
    Mutation(
        "time without looks counts as silence",
        "an agent that nobody could see is closed",
        (Edit("sidecar/core/tracker.cc",
              "  last_good_mono_us_.reset();\n",
              ""),
         Edit("sidecar/core/tracker.cc",
              "    if (state.due) state.due->covered_us = 0;\n",
              "")),
        # The simulator's sources are blind for seconds, less than the wait.
        unit=("sidecar_core_test", "TrackerChallenge.*")),
    # ---- info --------------------------------------------------------------------------------
    Mutation(
        "missing info not asked for",
        "the master never gets the fields",
        (Edit("master/core/master_core.cc",
              "    ack.exceptions.push_back({seq, e.agent, ExceptionKind::need_info, {}});\n",
              "",
              count=2),),
        # Inventories ask too.
        unit=("master_core_test", "MasterCoreTest.ADuplicateThatAsksForInfo*")),
    Mutation(
        "info told once for all sessions",
        "another worker's older fields stand",
        (Edit("sidecar/core/tracker.cc",
              "  if (hash == state.told_hash && state.info_told_here) return;\n",
              "  if (hash == state.told_hash) return;\n"),)),
    # ---- events ------------------------------------------------------------------------------
    Mutation(
        "disconnect without a moment taken as evidence",
        "a worker's late disconnect ends the session on the agent's new worker",
        (Edit("sidecar/core/tracker_events.cc",
              "  if (o.heard && later(evidence, state, now)) visited",
              "  if (later(evidence, state, now)) visited"),),
        # The simulator's sources have looks.
        unit=("sidecar_core_test", "TrackerEvents.*")),
    Mutation(
        "line answered before it is stored",
        "an agent server forgets what the sidecar then loses",
        (Edit("sidecar/source/event_socket.cc",
              "client.waiting.front().ticket <= stored",
              "client.waiting.front().ticket <= stored + 1"),),
        unit=("sidecar_source_test", "EventSocketTest.*")),
    Mutation(
        "what waits for a commit taken as stored",
        "an agent server forgets what the sidecar then loses",
        (Edit("sidecar/core/sidecar_core.cc",
              "urgent_ || !tracker_.dirty().empty() ? ticket_ + 1 : ticket_;",
              "ticket_;"),),
        unit=("sidecar_core_test", "Events.*")),
    Mutation(
        "info read back replaces newer info",
        "the master shows what was true before",
        (Edit("sidecar/core/tracker.cc",
              "  if ((left || is_kept(state)) && hash != state.info_hash) return;\n",
              ""),),
        unit=("sidecar_core_test", "TrackerEvents.*")),
    # ---- reconciliation ----------------------------------------------------------------------
    Mutation(
        "absence judged by BEGIN instead of the cut",
        "a session that was opened while the inventory came in is closed",
        (Edit("master/core/reconciliation.cc",
              "  leave_out(found_.absent, touched_, agent_of);\n", ""),),
        unit=("master_core_test", "ReconciliationTest.AgentsThatChange*")),
    Mutation(
        "an inventory believed while events are sent again",
        "a session that ended is taken for open again",
        (Edit("master/core/master_core_reconcile.cc",
              "  if (state_.nodes().at(conn.node).last_seq + 1 > conn.expected_seq) {\n",
              "  if (false) {\n"),),
        unit=("master_core_test", "ReconciliationTest.AnInventoryThatOvertakes*")),
    Mutation(
        "a worker not told of the master's own close",
        "an agent that it has stays closed",
        (Edit("master/core/master_core_reconcile.cc",
              "      superseded_[d.node].push_back({e.agent, {r->top, r->is_open()}});\n", ""),),
        unit=("master_core_test", "ReconciliationTest.AnAbsentSession*")),
    Mutation(
        "digests compared while events are sent again",
        "a difference is found where there is none",
        (Edit("master/core/master_core_reconcile.cc",
              "  if (log.last_seq + 1 > conn.expected_seq) return Agreement::unknown;",
              "  if (false) return Agreement::unknown;"),),
        unit=("master_core_test", "ReconciliationTest.WhileEventsAreSentAgain*")),
    # ---- leases ------------------------------------------------------------------------------
    Mutation(
        "the master's own halt taken for silence",
        "workers lapse because the master stood still",
        (Edit("master/core/leases.cc",
              "unheard.halted = suspended || gap > kHaltedUs;",
              "unheard.halted = suspended && gap < 0;"),),
        unit=("master_core_test", "*AHaltOfTheMasterEndsNoConnection*")),
    Mutation(
        "mass expiry not held",
        "a master that is cut off disconnects everybody",
        (Edit("master/core/leases.cc",
              "too_many(state, times, at, now) ? LeaseStatus::held", "false ? LeaseStatus::held"),),
        unit=("master_core_test", "LeaseTest.WhenEverybody*")),
    Mutation(
        "a forgotten node taken for a lost log",
        "every worker tells everything again because one came back",
        (Edit("master/core/master_core.cc",
              "  if (state_.forgotten().contains(m.node)) return true;\n", ""),),
        unit=("master_core_test", "LeaseTest.AForgottenWorkerThatComesBack*")),
    # ---- commands ----------------------------------------------------------------------------
    Mutation(
        "a command carried out before it is remembered",
        "a sidecar that is killed then tells the agent again",
        (Edit("sidecar/core/agent_commands.cc",
              "    if (part.ticket <= stored_ticket || now.mono_us >= part.until_mono_us)",
              "    if (part.ticket <= stored_ticket + 1 || now.mono_us >= part.until_mono_us)"),),
        unit=("sidecar_core_test", "SidecarCommands.NothingIsSentBefore*")),
    Mutation(
        "an id forgotten once it was told",
        "a COMMAND that comes again tells the agent again",
        (Edit("sidecar/core/agent_commands.cc",
              "  if (told == Told::sent) return CommandOutcome::sent;\n", ""),),
        unit=("sidecar_core_test", "SidecarCommands.TheSameId*")),
    Mutation(
        "what may have been sent is sent again",
        "after a restart of the sidecar an agent is told twice",
        (Edit("sidecar/core/agent_commands.cc",
              "  if (told == Told::uncertain) return CommandOutcome::uncertain;\n", ""),),
        unit=("sidecar_core_test", "SidecarCommands.AfterARestart*")),
    Mutation(
        "an agent told where it is not",
        "its new worker is never asked",
        (Edit("sidecar/core/agent_commands.cc",
              "  if (!is_open(entry.agent)) return CommandOutcome::not_here;\n", ""),),
        unit=("sidecar_core_test", "SidecarCommands.OneThatCannot*")),
    Mutation(
        "the owner looked up once",
        "an agent that moves while it waits for its turn is told by the worker that it left",
        (Edit("master/core/commands.cc",
              "    const bool still_here = place.kind == Place::Kind::here && place.node == worker.name;\n",
              "    const bool still_here = place.kind != Place::Kind::later || place.node == worker.name;\n"),),
        unit=("master_core_test", "CommandsTest.OneThatWaitsForItsTurn*")),
    Mutation(
        "a worker asked again for a session that it does not have",
        "both talk as fast as they can until the news of the end has come",
        (Edit("master/core/commands.cc", "      if (t.refused && !elsewhere) {\n", "      if (false) {\n"),),
        unit=("master_core_test", "CommandsTest.AWorkerThatLetGo*")),
    Mutation(
        "a worker that may have told the agent not waited for",
        "a restart that makes an agent move tells it twice",
        (Edit("master/core/commands.cc",
              "  if (t.stage == Stage::asked && !overdue) return;\n", ""),),
        unit=("master_core_test", "CommandsTest.AWorkerThatDoesNotAnswer*")),
    Mutation(
        "a command said before the decisions that it rests on",
        "a master that is killed then asked a worker whom its log does not know as the owner",
        (Edit("master/core/master_core_commands.cc",
              "say(conn_of(node), std::move(command));",
              "out.send.push_back({conn_of(node), std::move(command)});"),),
        unit=("master_core_test", "MasterCommands.AreSaidAfter*")),
    # ---- Wazuh's table on the master ----------------------------------------------------------
    Mutation(
        "a row corrected as soon as it differs",
        "every move is written that Wazuh's own sync is about to tell",
        (Edit("master/sink/sink_core.cc",
              "  return difference.since_mono_us + (config_.settle_us << doubled);\n",
              "  return difference.since_mono_us + 0 * doubled;\n"),),
        unit=("master_sink_test", "SinkCore.*LongEnough:SinkCore.*Anew")),
    Mutation(
        "corrections that do not last repeated at once",
        "the sink and another program write the same row every few seconds for ever",
        (Edit("master/sink/sink_core.cc", "(config_.settle_us << doubled)",
              "(config_.settle_us << 0 * doubled)"),),
        unit=("master_sink_test", "SinkCore.CorrectionsThatDoNotLast*")),
    Mutation(
        "a row written as it was looked at",
        "what Wazuh wrote since the look is written over",
        (Edit("master/sink/sink_core.cc",
              "  if (!differs || *differs != difference->second.what) return;\n",
              "  if (differs) {\n  }\n"),),
        unit=("master_sink_test", "SinkCore.ARowThatChangedSinceTheLook*")),
    Mutation(
        "an agent corrected whose worker nobody vouches for",
        "what a master remembers from before its start is written over what is true",
        (Edit("master/sink/correction.cc",
              "  if (!view.proven(record->top.node)) return Withheld::unreachable;\n", ""),),
        unit=("master_sink_test", "SinkCore.LeavesAnAgentWhoseLastWorker*")),
    Mutation(
        "an agent corrected that is on a node without a sidecar",
        "it is connected there, and shown as disconnected",
        (Edit("master/sink/correction.cc", "!view.proven(names.of(row.node))",
              "names.of(row.node).empty()"),),
        unit=("master_sink_test", "SinkCore.LeavesAnAgentThatWazuh*")),
    Mutation(
        "a row of the master's own node written",
        "a sidecar there takes it for evidence",
        (Edit("master/sink/correction.cc", "  if (node == own_node) return Withheld::own_node;\n",
              "  if (node == own_node && node.empty()) return Withheld::own_node;\n"),),
        unit=("master_sink_test", "SinkCore.WritesNoRowOfTheNode*")),
    Mutation(
        "blank fields written",
        "what was known of an agent is lost",
        (Edit("master/sink/correction.cc",
              "if (!text.empty() && !is_unknown(info, name)) row.insert_or_assign(name, text);",
              "row.insert_or_assign(name, text);"),),
        unit=("master_sink_test", "SinkCore.BlankFields*")),
    Mutation(
        "a row that is refused passes for trouble of the table's",
        "no row behind it is ever put right",
        (Edit("master/sink/sink_core.cc", "    one_at_a_time_ = true;\n", ""),
         Edit("master/sink/sink_core.cc",
              "  if (!outcome && batch.size() > 1) {", "  if (!outcome && batch.size() > 500) {")),
        unit=("master_sink_test", "SinkCore.ARowThatIsRefused*")),
    Mutation(
        "a blind worker not told of",
        "it passes for one without agents, and those that move there are written as disconnected",
        (Edit("sidecar/core/sidecar_reconcile.cc", "  h.blind = blind_;\n", ""),),
        unit=("sidecar_core_test", "ReconcilerTest.AWorkerThatCannotLook*")),
    # ---- handoff -----------------------------------------------------------------------------
    Mutation(
        "evidence after an offer does not end it",
        "an agent that stays on a drained worker is migrating until the grace is over",
        (Edit("sidecar/core/tracker_handoff.cc",
              "  if (heard_since_offer(state, now)) stay",
              "  if (heard_since_offer(state, now) && agent == AgentId{}) stay"),),
        unit=("sidecar_core_test", "TrackerHandoff.EvidenceAfterTheOfferEndsIt")),
    Mutation(
        "an offer ends without closing",
        "an agent that went nowhere migrates for ever",
        (Edit("sidecar/core/tracker_handoff.cc",
              "      end_offer(state, Handoff::End::expired, now);\n"
              "      change_session(agent, state, EventKind::closed, Reason::handoff_expired);\n",
              "      continue;\n"),)),
    Mutation(
        "an offer given up with its worker's lease",
        "an agent is disconnected while it may be on its way",
        (Edit("master/core/state.cc",
              "  if (record.is_offered()) {\n",
              "  if (record.is_offered() && node.lease != LeaseStatus::expired) {\n"),)),
    Mutation(
        "the grace ignored at the master's restart",
        "agents that are on their way are disconnected by it",
        (Edit("master/core/snapshot.cc",
              "(take(in, a.offered_until) && a.is_offered())",
              "(take(in, a.offered_until) && (a.offered_until = {}, true))"),),
        # Few of the simulator's offers are in a snapshot.
        unit=("master_core_test", "Handoff.*:State*")),
    Mutation(
        "a goodbye does not hold the lease",
        "agents of a sidecar that is updated are unreachable",
        (Edit("master/core/leases.cc",
              "std::max(d.silent_at, now.mono_us + back_within_us)",
              "std::max(d.silent_at, now.mono_us - back_within_us)"),)),
    Mutation(
        "a goodbye forgotten at the master's restart",
        "agents of a sidecar that is updated are unreachable",
        (Edit("master/core/leases.cc",
              "    if (node.away) d.silent_at = std::max",
              "    if (false) d.silent_at = std::max"),)),
    Mutation(
        "a drained worker's goodbye taken for a disconnect",
        "emptying a worker raises an alert for each agent",
        (Edit("sidecar/core/tracker_handoff.cc",
              "  if (!drain_ && !waits)", "  if (!waits)"),),
        unit=("sidecar_core_test", "TrackerHandoff.WhoeverLeaves*")),
    Mutation(
        "the manager's restart taken for a disconnect",
        "a restart of a worker's manager raises an alert for each agent",
        (Edit("sidecar/core/tracker_handoff.cc",
              "      reason == Reason::worker_restart || (reason == Reason::no_keepalive && state.offered());\n",
              "      reason == Reason::no_keepalive && state.offered();\n"),)),
    Mutation(
        "the reaper ends an offered session",
        "an agent is disconnected while it may be on its way",
        (Edit("sidecar/core/tracker_handoff.cc",
              "      reason == Reason::worker_restart || (reason == Reason::no_keepalive && state.offered());\n",
              "      reason == Reason::worker_restart;\n"),),
        unit=("sidecar_core_test", "TrackerHandoff.TheReaperEnds*")),
    Mutation(
        "an offer's version with another meaning passed over",
        "an agent migrates for ever after a store went back",
        (Edit("master/core/master_core.cc",
              "stands_not || (rule == Rule::conflict && r.top == said);", "stands_not;"),),
        unit=("master_core_test", "Handoff.WhoSaysItsVersion*")),
    Mutation(
        "an inventory takes offers back",
        "an agent that is on its way is shown as active on the worker that it left",
        (Edit("master/core/master_core_reconcile.cc", "  keep_offers(node, evidence);\n", ""),),
        unit=("master_core_test", "ReconciliationTest.EvidenceOfAnAgentThatIsOffered*")),
    Mutation(
        "an earlier store of an older term passes for a new one",
        "its agents are closed as absent before the source was heard",
        (Edit("master/core/master_core.cc",
              "  if (known != state_.nodes().end()) return true;\n  if (!was_ours) return false;\n",
              "  if (!was_ours) return false;\n  if (known != state_.nodes().end()) return true;\n"),),
        unit=("master_core_test", "LostStateTest.TheStoreThatANodeHadBefore*")),
    Mutation(
        "compared before what was refused is told again",
        "an agent is closed as absent although its worker has it",
        (Edit("sidecar/core/sidecar_reconcile.cc", " && !refused_told_", ""),),
        unit=("sidecar_core_test", "ReconcilerTest.UntilARefusedEvent*")),
    Mutation(
        "lost runs of time kept",
        "a session is refused as from the future for as long as the master's time was ahead",
        (Edit("sidecar/core/timeline.h",
              "      std::erase_if(runs_, [&](const Run& r) { return r.began >= began; });\n",
              "      if (!runs_.empty() && runs_.back().began == began) runs_.pop_back();\n"),),
        unit=("sidecar_core_test", "Timeline.RunsThatTheMasterLost*")),
    Mutation(
        "silence ends an offered session",
        "an agent is disconnected while it may be on its way",
        (Edit("sidecar/core/tracker.cc",
              "  if (state.offered()) return;  // its grace says how long to wait\n",
              ""),)),
    Mutation(
        "a short grace for who stays",
        "an agent that stays is disconnected with each of its keepalives",
        (Edit("sidecar/core/tracker_handoff.cc",
              "  if (left == Reason::none) h.grace_us = std::max(h.grace_us, patience_us(state));\n",
              ""),)),
    # ---- the feed ----------------------------------------------------------------------------
    Mutation(
        "the feed tells what is not durable",
        "after a crash a number that was told gets another meaning",
        (Edit("master/core/master_core.cc",
              "std::abort();  // only a replay can disagree\n",
              "std::abort();\n  feed_.show_upto(feed_.added());\n"),),
        unit=("master_core_test", "Contests.TheFeedShowsNothing*")),
    Mutation(
        "a lease that lapses is not told",
        "the feed does not end as the table stands",
        (Edit("master/core/state.cc",
              "  standing_became(r.node, before, r.cause, r.at, told);\n", ""),)),
    Mutation(
        "a disconnect of what was never connected is told",
        "an alarm without a reason",
        (Edit("master/core/feed.cc",
              "  if (!is) return was ? std::optional(FeedKind::disconnect) : std::nullopt;",
              "  if (!is) return FeedKind::disconnect;"),),
        unit=("master_core_test", "*FeedKinds*")),
    Mutation(
        "losers of a contested agent told at once",
        "two clones chase each other as fast as messages travel",
        (Edit("master/core/master_core_contests.cc",
              "  if (!contested(agent, now)) return true;\n", "  if (now.mono_us > 0) return true;\n"),),
        unit=("master_core_test", "Contests.NobodyIsTold*")),
]
