#pragma once
// Many workers that connect to one master at once, and a master that only waits for HELLO: the two
// ends of the protocol without the rest of a daemon. One loop, one thread.
#include <cstdint>
#include <string>
#include <vector>

namespace rollcall::bench {

// A CA, a certificate for "master", and for the workers w1, w2, …
void make_certificates(const std::string& directory, int workers);

// Each worker connects, says HELLO, tells of its agents (with info) and waits for the ACK. Prints
// the seconds until the last of them was acked, and how many connections were refused or broke.
void connect_workers(const std::string& pki, std::uint16_t port, int workers, int agents,
                     std::uint64_t seed);

// The TLS handshakes of so many workers with a server of our own in another process.
void handshakes_alone(const std::string& pki, int workers);

// Starts the program as often as asked for, and prints the seconds from then until its HELLO came.
void restart(const std::string& pki, std::uint16_t port, int runs,
             const std::vector<std::string>& command);

}  // namespace rollcall::bench
