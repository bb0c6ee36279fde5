// rollcall pki: the cluster's own certificate authority.

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "cli/command.h"
#include "net/pki.h"

namespace rollcall::cli {
namespace {

constexpr const char* kDefaultDir = "/etc/rollcall/pki";

struct Options {
  std::string dir = kDefaultDir;
  std::string cluster = "rollcall";
  net::CertificateRequest request;
};

std::string day_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return text.data();
}

Exit report(const std::expected<net::IssuedCertificate, Error>& issued) {
  if (!issued) {
    std::fprintf(stderr, "rollcall pki: %s\n", issued.error().message.c_str());
    return Exit::kFailed;
  }
  std::printf("certificate  %s\nkey          %s\nserial       %s\nvalid until  %s\n",
              issued->certificate_path.c_str(), issued->key_path.c_str(), issued->serial.c_str(),
              day_text(issued->not_after).c_str());
  return Exit::kDone;
}

Exit init(const Options& options) {
  const auto issued = net::pki_init(options.dir, options.cluster, std::chrono::system_clock::now());
  const Exit exit = report(issued);
  if (issued) {
    std::printf(
        "\nKeep the key here and nowhere else: who has it can speak for any node.\n"
        "Next: rollcall pki issue NODE, for the master and for each worker.\n");
  }
  return exit;
}

Exit issue(const Options& options) {
  const auto issued =
      net::pki_issue(options.dir, options.request, std::chrono::system_clock::now());
  const Exit exit = report(issued);
  if (issued) {
    std::printf("\nThe node needs these two files and %s/ca.crt.\n", options.dir.c_str());
  }
  return exit;
}

}  // namespace

void add_pki(CLI::App& app, Run& run) {
  // Lives as long as the callbacks that use it.
  const auto options = std::make_shared<Options>();
  CLI::App* pki = app.add_subcommand("pki", "Make the cluster's CA and its certificates");
  pki->require_subcommand(1);

  CLI::App* init_command = pki->add_subcommand("init", "Make a new CA (ca.crt, ca.key)");
  init_command->add_option("--dir", options->dir, "Folder of the CA")->capture_default_str();
  init_command->add_option("--cluster", options->cluster, "Name of the cluster")
      ->capture_default_str();
  init_command->callback([&run, options] { run = [options] { return init(*options); }; });

  CLI::App* issue_command =
      pki->add_subcommand("issue", "Issue a certificate for a node (NODE.crt, NODE.key)");
  issue_command->add_option("NODE", options->request.node, "Name of the node, as it calls itself")
      ->required();
  issue_command->add_option("--dir", options->dir, "Folder of the CA")->capture_default_str();
  issue_command->add_option("--days", options->request.days, "How long it is valid")
      ->capture_default_str();
  issue_command
      ->add_option("--dns", options->request.dns_names,
                   "A further name of the node; may be given again")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  issue_command->callback([&run, options] { run = [options] { return issue(*options); }; });
}

}  // namespace rollcall::cli
