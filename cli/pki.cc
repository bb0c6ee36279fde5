// rollcall pki: the cluster's own certificate authority.

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "app/expiry.h"
#include "cli/command.h"
#include "cli/mend.h"
#include "cli/text.h"
#include "net/pki.h"

namespace rollcall::cli {
namespace {

using Clock = std::chrono::system_clock;

struct Options {
  std::string dir = kPkiFolder;
  std::string cluster = "rollcall";
  net::CertificateRequest request;
  std::vector<std::string> nodes;
  net::RevokeRequest revoke;
  std::vector<std::string> files;
  bool finish = false;
  bool json = false;
};

std::string day_text(Clock::time_point time) {
  const std::time_t seconds = Clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return text.data();
}

Exit fail_with(const Error& error) {
  return fail("rollcall pki: " + error.message);
}

void print_issued(const net::IssuedCertificate& issued) {
  std::printf("certificate  %s\nkey          %s\nserial       %s\nvalid until  %s\n\n",
              issued.certificate_path.c_str(), issued.key_path.c_str(), issued.serial.c_str(),
              day_text(issued.not_after).c_str());
}

Json json_of(const net::IssuedCertificate& issued) {
  return {{"certificate", issued.certificate_path},
          {"key", issued.key_path},
          {"serial", issued.serial},
          {"not_after", day_text(issued.not_after)}};
}

Exit report(const Options& options, const std::expected<net::IssuedCertificate, Error>& issued,
            const std::string& next) {
  if (!issued) return fail_with(issued.error());
  if (options.json) {
    print_json(json_of(*issued));
    return Exit::kDone;
  }
  print_issued(*issued);
  std::printf("%s", next.c_str());
  return Exit::kDone;
}

Exit init(const Options& options) {
  return report(options, net::pki_init(options.dir, options.cluster, Clock::now()),
                "Keep the key here and nowhere else: who has it can speak for any node.\n"
                "Next: rollcall pki issue NODE, for the master and for each worker.\n");
}

// Each node by itself: one that has its pair already does not keep others from theirs.
Exit issue(const Options& options) {
  if (options.nodes.size() > 1 && !options.request.dns_names.empty())
    return fail("rollcall pki: --dns names one node only: issue that one by itself", Exit::kUsage);
  Exit how = Exit::kDone;
  std::size_t issued_ones = 0;
  for (const auto& node : options.nodes) {
    net::CertificateRequest request = options.request;
    request.node = node;
    const auto issued = net::pki_issue(options.dir, request, Clock::now());
    if (!issued) {
      how = fail_with(issued.error());
      continue;
    }
    ++issued_ones;
    if (options.json) {
      print_json(json_of(*issued));
    } else {
      print_issued(*issued);
    }
  }
  if (issued_ones > 0 && !options.json) {
    std::printf("%s needs these two files and %s/ca.crt.\n",
                options.nodes.size() > 1 ? "Each node" : "The node", options.dir.c_str());
  }
  return how;
}

Exit renew(const Options& options) {
  return report(
      options,
      net::pki_renew(options.dir, options.request.node, options.request.days, Clock::now()),
      "Copy both to the node; its daemon takes them within seconds, without a restart.\n"
      "The certificate before goes on counting: `rollcall pki revoke " +
          options.request.node + " --renewed` ends that.\n");
}

Exit revoke(const Options& options) {
  const auto& asked = options.revoke;
  if (asked.node.empty() && asked.files.empty() && asked.serials.empty())
    return fail("rollcall pki: name a node, or a certificate with --file or --serial",
                Exit::kUsage);
  const auto revoked = net::pki_revoke(options.dir, asked, Clock::now());
  if (!revoked) return fail_with(revoked.error());
  if (options.json) {
    print_json({{"list", revoked->list_path}, {"revoked", revoked->serials}});
    return Exit::kDone;
  }
  for (const auto& serial : revoked->serials) std::printf("revoked  %s\n", serial.c_str());
  if (revoked->serials.empty())
    std::printf("All of this was revoked before, or is of a CA that is gone.\n");
  std::printf(
      "\nCopy %s beside ca.crt of every node: the daemons take it within seconds, without a\n"
      "restart, and end the connections of whoever is on it.\n",
      revoked->list_path.c_str());
  return Exit::kDone;
}

Exit change_ca(const Options& options) {
  if (!options.finish) {
    return report(
        options, net::pki_begin_change(options.dir, Clock::now()),
        "From now on this CA signs, and ca.crt holds the older one too. In this order:\n"
        "1. copy " +
            options.dir +
            "/ca.crt to every node,\n"
            "2. rollcall pki renew NODE, for the master and each worker, and copy the pairs,\n"
            "3. rollcall pki change-ca --finish, and copy ca.crl, if there is one, then ca.crt.\n");
  }
  if (const auto ended = net::pki_end_change(options.dir); !ended) return fail_with(ended.error());
  if (options.json) {
    print_json({{"certificate", options.dir + "/ca.crt"}});
    return Exit::kDone;
  }
  std::printf(
      "The older CA is gone. In this order:\n"
      "1. copy %s/ca.crl, if there is one, to every node,\n"
      "2. copy %s/ca.crt to every node: from then on the older CA counts no more there.\n",
      options.dir.c_str(), options.dir.c_str());
  return Exit::kDone;
}

std::string_view state_of(const net::ListedCertificate& one, Clock::time_point now) {
  if (!one.revoked_by.empty()) return "revoked";
  if (one.info.not_before > now) return "not valid yet";
  if (one.info.not_after <= now) return "expired";
  if (!one.is_of_this_ca && one.use == net::ListedCertificate::Use::kNode) return "of another CA";
  return net::days_left(one.info.not_after, now) < app::kExpiresSoonDays ? "expires soon" : "good";
}

Json json_of(const net::ListedCertificate& one, Clock::time_point now) {
  return {{"subject", one.info.subject},
          {"names", one.info.names},
          {"serial", one.info.serial},
          {"file", one.info.file},
          {"not_before", day_text(one.info.not_before)},
          {"not_after", day_text(one.info.not_after)},
          {"days_left", net::days_left(one.info.not_after, now)},
          {"use", one.use == net::ListedCertificate::Use::kCa ? "ca" : "node"},
          {"signs", one.signs},
          {"state", state_of(one, now)},
          {"revoked_by", one.revoked_by.empty() ? Json(nullptr) : Json(one.revoked_by)},
          {"key", one.key_trouble.empty() ? Json(nullptr) : Json(one.key_trouble)}};
}

std::string name_of(const net::ListedCertificate& one) {
  if (one.use == net::ListedCertificate::Use::kCa) return one.signs ? "CA (signs)" : "CA";
  return one.info.names.empty() ? one.info.subject : one.info.names.front();
}

void print(const std::vector<net::ListedCertificate>& all, Clock::time_point now) {
  Table table({"NAME", "STATE", "UNTIL", "DAYS", "FILE"});
  for (const auto& one : all) {
    table.add({harmless(name_of(one)), std::string(state_of(one, now)),
               day_text(one.info.not_after),
               std::to_string(net::days_left(one.info.not_after, now)), one.info.file});
  }
  table.print();
  std::printf("\n");
  for (const auto& one : all) print_field(harmless(name_of(one)), one.info.serial);
  for (const auto& one : all) {
    if (!one.key_trouble.empty()) std::printf("%s\n", wrapped(one.key_trouble).c_str());
  }
}

Exit show(const Options& options) {
  std::vector<net::ListedCertificate> all;
  const auto take = [&](const std::expected<std::vector<net::ListedCertificate>, Error>& read) {
    if (!read) return fail_with(read.error());
    all.insert(all.end(), read->begin(), read->end());
    return Exit::kDone;
  };
  if (options.files.empty()) {
    if (take(net::pki_list(options.dir)) != Exit::kDone) return Exit::kFailed;
  }
  for (const auto& file : options.files) {
    if (take(net::pki_read(file)) != Exit::kDone) return Exit::kFailed;
  }
  const auto now = Clock::now();
  if (!options.json) {
    print(all, now);
    return Exit::kDone;
  }
  Json list = Json::array();
  for (const auto& one : all) list.push_back(json_of(one, now));
  print_json({{"certificates", list}});
  return Exit::kDone;
}

using Shared = std::shared_ptr<Options>;

CLI::App* add(CLI::App& pki, Run& run, const Shared& options, const std::string& name,
              const std::string& about, Exit (*what)(const Options&)) {
  CLI::App* command = pki.add_subcommand(name, about);
  command->add_option("--dir", options->dir, "Folder of the CA")->capture_default_str();
  command->add_flag("--json", options->json, "As JSON");
  command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
  return command;
}

CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<std::string>& to,
                      const std::string& about) {
  return command.add_option(name, to, about)->take_all()->expected(1)->allow_extra_args(false);
}

void add_days(CLI::App& command, const Shared& options) {
  command.add_option("--days", options->request.days, "How long it is valid")
      ->capture_default_str();
}

}  // namespace

void add_pki(CLI::App& app, Run& run) {
  // Lives as long as the callbacks that use it.
  const auto options = std::make_shared<Options>();
  CLI::App* pki = app.add_subcommand("pki", "Make and manage the cluster's CA and certificates");
  pki->require_subcommand(1);

  CLI::App* command = add(*pki, run, options, "init", "Make a new CA (ca.crt, ca.key)", init);
  command->add_option("--cluster", options->cluster, "Name of the cluster")->capture_default_str();

  command = add(*pki, run, options, "issue",
                "Issue a certificate for each of these nodes (NODE.crt, NODE.key)", issue);
  command->add_option("NODE", options->nodes, "Name of a node, as it calls itself; or several")
      ->required();
  add_days(*command, options);
  add_list(*command, "--dns", options->request.dns_names,
           "A further name, of one node only; may be given again");

  command = add(*pki, run, options, "renew",
                "Put a new pair with the same names in the place of a node's", renew);
  command->add_option("NODE", options->request.node, "Name of the node")->required();
  add_days(*command, options);

  command = add(*pki, run, options, "revoke", "Put certificates on the list ca.crl", revoke);
  command->add_option("NODE", options->revoke.node, "All certificates of this node");
  command->add_flag("--renewed", options->revoke.only_renewed,
                    "Of NODE all but the newest one, once that is in use");
  add_list(*command, "--file", options->revoke.files, "This certificate; may be given again");
  add_list(*command, "--serial", options->revoke.serials,
           "The certificate with this serial number; may be given again");

  command = add(*pki, run, options, "show", "What there is, and how long it is valid", show);
  command->add_option("FILE", options->files, "Certificates in these files, not those of --dir");

  command = add(*pki, run, options, "change-ca",
                "Begin a change of the CA: both count, the new one signs", change_ca);
  command->add_flag("--finish", options->finish, "End it: the older CA counts no more");
}

}  // namespace rollcall::cli
