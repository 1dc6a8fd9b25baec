#include "generate_args.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <functional>

namespace qhx::tools {
namespace {

// Digits only: no sign, no space, no exponent.
template <class T>
Status parse_whole(const std::string& text, const std::string& what, T& out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  const bool digits = !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) != 0;
  if (error == std::errc::result_out_of_range && digits)
    return invalid_argument(what + ": " + text + " is too large");
  if (error != std::errc() || stop != end || !digits)
    return invalid_argument(what + ": expected a non-negative integer, found \"" + text + "\"");
  return {};
}

Status parse_number(const std::string& text, const std::string& what, std::optional<float>& out) {
  const char* end = text.data() + text.size();
  float value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end)
    return invalid_argument(what + ": expected a number, found \"" + text + "\"");
  out = value;
  return {};
}

Status parse_speculate(const std::string& text, int& out) {
  if (text == "auto") {
    out = qhexrt::GenerateConfig::kSpeculateAuto;
  } else if (text == "off") {
    out = 0;
  } else {
    std::uint16_t most = 0;
    if (!parse_whole(text, "--speculate", most).ok())
      return invalid_argument("--speculate: expected auto, off or a number, found \"" + text +
                              "\"");
    out = most;
  }
  return {};
}

// One line each: name, what its value is called in the help (null: a switch), help, and what it
// does.
struct Flag {
  const char* name;
  const char* value;
  const char* help;
  std::function<Status(GenerateArgs&, const std::string&)> apply;
};

Flag number(const char* name, const char* help, std::optional<float> qhexrt::GenerateConfig::*to) {
  return {name, "X", help, [name, to](GenerateArgs& a, const std::string& text) {
            return parse_number(text, name, a.config.*to);
          }};
}

Flag toggle(const char* name, const char* help, bool GenerateArgs::*to) {
  return {name, nullptr, help, [to](GenerateArgs& a, const std::string&) {
            a.*to = true;
            return Status();
          }};
}

Flag load_option(const char* name, const char* help, bool qhexrt::EngineOptions::*to) {
  return {name, nullptr, help, [to](GenerateArgs& a, const std::string&) {
            a.engine.*to = true;
            return Status();
          }};
}

const std::vector<Flag>& flags() {
  using Config = qhexrt::GenerateConfig;
  using Engine = qhexrt::EngineOptions;
  static const std::vector<Flag> kFlags = {
      {"--system", "TEXT", "system message before the prompt",
       [](GenerateArgs& a, const std::string& text) {
         a.system = text;
         return Status();
       }},
      toggle("--raw", "take the prompt as it is, without the chat template", &GenerateArgs::raw),
      number("--temperature", "0: greedy, the default of most bundles", &Config::temperature),
      {"--top-k", "N", "draw from the N likeliest tokens; 0: off",
       [](GenerateArgs& a, const std::string& text) {
         return parse_whole(text, "--top-k", a.config.top_k.emplace());
       }},
      number("--top-p", "draw from the likeliest tokens that sum to X; 1: off", &Config::top_p),
      number("--min-p", "drop tokens below X times the likeliest one's probability; 0: off",
             &Config::min_p),
      number("--repetition-penalty", "1: off", &Config::repetition_penalty),
      {"--seed", "N", "the same draws each time; 0, the default: different ones",
       [](GenerateArgs& a, const std::string& text) {
         return parse_whole(text, "--seed", a.config.seed);
       }},
      {"--stop", "TEXT", "end before this text; may be given several times",
       [](GenerateArgs& a, const std::string& text) {
         if (text.empty()) return invalid_argument("--stop: the text is empty");
         a.config.stop_strings.push_back(text);
         return Status();
       }},
      {"--speculate", "N",
       "check up to N guessed tokens in one call; auto: where it is quicker; off",
       [](GenerateArgs& a, const std::string& text) {
         return parse_speculate(text, a.config.speculate);
       }},
      toggle("--json", "write one JSON object to stdout instead of the text", &GenerateArgs::json),
      toggle("--stats", "more figures on stderr", &GenerateArgs::stats),
      {"--dump", "DIR", "write what passes between the stages to DIR as .npy files",
       [](GenerateArgs& a, const std::string& text) {
         if (text.empty()) return invalid_argument("--dump: the folder's name is empty");
         a.config.dump_folder = text;
         return Status();
       }},
      {"--cache", "DIR", "keep what pictures and prompts became in DIR, for further questions",
       [](GenerateArgs& a, const std::string& text) {
         if (text.empty()) return invalid_argument("--cache: the folder's name is empty");
         a.engine.cache_folder = text;
         return Status();
       }},
      {"--cache-size", "MB", "most megabytes of that folder; the least recently used goes first",
       [](GenerateArgs& a, const std::string& text) {
         std::uint32_t megabytes = 0;
         QHX_RETURN_IF_ERROR(parse_whole(text, "--cache-size", megabytes));
         a.engine.cache_bytes = std::uint64_t{megabytes} * 1'000'000;
         a.cache_size_given = true;
         return Status();
       }},
      {"--threads", "N", "threads of the CPU library and of the picture stage; 0: all usable ones",
       [](GenerateArgs& a, const std::string& text) {
         QHX_RETURN_IF_ERROR(parse_whole(text, "--threads", a.engine.threads));
         if (a.engine.threads > 1024) return invalid_argument("--threads: at most 1024");
         return Status();
       }},
      load_option("--verify-hashes", "read every file whole before loading and compare its sha256",
                  &Engine::verify_hashes),
      load_option("--allow-arch-mismatch",
                  "emulation: run binaries of another chip; device: of another SoC of its arch",
                  &Engine::allow_arch_mismatch),
      load_option("--allow-low-memory", "load although the memory that is left is too small",
                  &Engine::allow_low_memory),
      toggle("--help", "this text", &GenerateArgs::help),
      toggle("--version", "the program's version", &GenerateArgs::version)};
  return kFlags;
}

bool looks_like_flag(const std::string& arg) {
  const std::string name = arg.substr(0, arg.find('='));
  const std::size_t dashes = name.find_first_not_of('-');
  if (dashes == std::string::npos || dashes == 0 || dashes > 2) return false;
  if (std::isalpha(static_cast<unsigned char>(name[dashes])) == 0) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
}

// Applies the flag at `at` and moves `at` to the last argument it used.
Status apply_flag(const std::vector<std::string>& args, std::size_t& at, GenerateArgs& out) {
  const std::string& arg = args[at];
  const std::size_t equals = arg.find('=');
  const std::string name = arg.substr(0, equals);
  for (const Flag& flag : flags()) {
    if (name != flag.name) continue;
    const bool attached = equals != std::string::npos;
    if (flag.value == nullptr) {
      if (attached) return invalid_argument(name + ": takes no value");
      return flag.apply(out, "");
    }
    if (attached) return flag.apply(out, arg.substr(equals + 1));
    if (at + 1 == args.size()) return invalid_argument(name + ": its value is missing");
    return flag.apply(out, args[++at]);
  }
  return invalid_argument("unknown flag " + name +
                          "; see --help (a prompt that looks like a flag goes after \"--\")");
}

Status take_positionals(const std::vector<std::string>& given, GenerateArgs& out) {
  if (given.size() != 6 && given.size() != 7) {
    return invalid_argument(
        "expected MANIFEST HTP_LIB SYSTEM_LIB MODEL_DIR N_TOKENS PROMPT [IMAGE], found " +
        std::to_string(given.size()) + " arguments; see --help");
  }
  constexpr const char* kNames[] = {"MANIFEST", "HTP_LIB", "SYSTEM_LIB", "MODEL_DIR"};
  for (std::size_t i = 0; i < 4; ++i) {
    if (given[i].empty()) return invalid_argument(std::string(kNames[i]) + ": is empty");
  }
  out.engine.manifest = given[0];
  out.engine.backend_library = given[1];
  out.engine.system_library = given[2];
  out.engine.folder = given[3];
  std::uint32_t tokens = 0;
  QHX_RETURN_IF_ERROR(parse_whole(given[4], "N_TOKENS", tokens));
  out.config.max_new_tokens = tokens;
  out.prompt = given[5];
  if (given.size() < 7) return {};
  if (given[6].empty()) return invalid_argument("IMAGE: is empty");
  out.image = given[6];
  return {};
}

}  // namespace

Result<GenerateArgs> parse_generate_args(const std::vector<std::string>& args) {
  GenerateArgs out;
  std::vector<std::string> positionals;
  bool only_positionals = false;
  for (std::size_t at = 0; at < args.size(); ++at) {
    if (!only_positionals && args[at] == "--") {
      only_positionals = true;
    } else if (!only_positionals && looks_like_flag(args[at])) {
      QHX_RETURN_IF_ERROR(apply_flag(args, at, out));
    } else {
      positionals.push_back(args[at]);
    }
  }
  if (out.help || out.version) return out;
  QHX_RETURN_IF_ERROR(take_positionals(positionals, out));
  if (out.cache_size_given && out.engine.cache_folder.empty())
    return invalid_argument("--cache-size: is of no use without --cache");
  if (out.raw && out.system.has_value())
    return invalid_argument("--system: has no place in a --raw prompt");
  return out;
}

std::string generate_usage() {
  std::string text =
      "usage: qhx_generate MANIFEST HTP_LIB SYSTEM_LIB MODEL_DIR N_TOKENS PROMPT [IMAGE] [flags]\n"
      "\n"
      "Continues a conversation of one message and streams the answer to stdout; figures go to\n"
      "stderr. libQhxCpu.so may be given for both libraries.\n"
      "\n"
      "  MANIFEST    the bundle's JSON file\n"
      "  HTP_LIB     QNN backend library, as the loader finds it\n"
      "  SYSTEM_LIB  QNN system library\n"
      "  MODEL_DIR   folder of the bundle's files\n"
      "  N_TOKENS    most tokens to generate; 0 reads the prompt and stops\n"
      "  PROMPT      the user's text\n"
      "  IMAGE       JPEG, PNG, WebP, GIF or BMP file, shown before the text\n"
      "\n"
      "flags:\n";
  for (const Flag& flag : flags()) {
    std::string left = std::string("  ") + flag.name;
    if (flag.value != nullptr) left += std::string(" ") + flag.value;
    left.resize(std::max<std::size_t>(left.size() + 2, 26), ' ');
    text += left + flag.help + "\n";
  }
  return text + "\nExit codes: 0 success, otherwise the kind of error (docs/cli.md).\n";
}

}  // namespace qhx::tools
