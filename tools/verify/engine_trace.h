// Runs a picture and a prompt through a bundle's graphs, with the tokens of another's answer.
#pragma once

#include "base/status.h"
#include "engine/engine.h"
#include "verify/trace.h"

namespace qhx::verify {

// kOutOfRange if so many tokens of a prompt and its answer do not fit into the context.
Status check_room(const engine::Engine& engine, std::size_t prompt, std::size_t answer);

// The user's words as the bundle's chat format and tokenizer encode them. input.picture, if set, is
// brought to the vision graph's size.
Status encode_input(const engine::Engine& engine, Input& input);

// What trace_engine() tells `advance` in all. In emulation everything takes longer.
Result<double> engine_work(const engine::Engine& engine, const Input& input, std::size_t tokens,
                           bool emulation);

// kOutOfRange if prompt and answer do not fit into the context, kInvalidArgument for ids outside
// the vocabulary. input.answer_ids decides how many steps there are.
Result<Trace> trace_engine(const engine::Engine& engine, const Input& input, bool emulation,
                           const Advance& advance);

}  // namespace qhx::verify
