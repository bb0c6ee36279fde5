rollcall_test(net_test THREADS
  LIBS rollcall_net OpenSSL::SSL OpenSSL::Crypto Threads::Threads
  SOURCES
    net/backoff_test.cc
    net/hostile_peer_test.cc
    net/loop_test.cc
    net/pki_test.cc
    net/tls_stream_test.cc
    net/tls_test.cc
    net/unix_datagram_test.cc
    net/unix_stream_test.cc
    net/pki_change_test.cc
    net/revocation_test.cc)
