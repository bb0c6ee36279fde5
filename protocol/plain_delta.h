#pragma once
// DELTAs and events in exactly the form in which this program writes them, read without building a
// tree first. Pure; any thread.
//
// Whatever is in another form, wrong or merely unusual, is not "plain" and gives nothing: codec.cc
// then reads it value by value, and says what is wrong with it. What is plain gives there the same.
#include <optional>
#include <string_view>

#include "protocol/messages.h"
#include "protocol/msgpack_bytes.h"

namespace rollcall {

std::optional<Delta> read_plain_delta(std::string_view payload);

// Takes one event; false if it is not plain, and then `event` holds a part of it. An epoch of 0
// passes, as in unpack_event().
bool read_plain_event(msgpack_bytes::Reader& reader, Event& event);
// Takes the fields of an info, within the limits of a DELTA.
bool read_plain_info(msgpack_bytes::Reader& reader, InfoPtr& info);

}  // namespace rollcall
