// The C++ side of parity.py and chat_parity.py. Reads one request a line from standard input and
// writes one JSON line for each:
//   {"text": "..."} or {"hex": "<bytes>"}          -> [ids] of the text; with "literal": true
//   without added tokens
//   {"messages": [...], "format": {...}, "tools": [...], "options": {...}, "picture_tokens": [...]}
//                                                  -> {"text", "ids", "pictures"} of the
//                                                  conversation, or {"error"}
//   {"ids": [...], "skip_special": bool}           -> "decoded text"
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/chat_json.h"
#include "text/tokenizer.h"

namespace {

using nlohmann::json;

std::string bytes_from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

json chat_answer(const qhx::text::Tokenizer& tokenizer, const json& request) {
  const auto format = qhx::text::ChatFormat::from_json(request["format"].dump());
  if (!format.ok()) return {{"error", format.status().message()}};
  // Sent as text, so that numbers and the order of keys arrive as they were written.
  const auto messages = qhx::text::chat_messages_from_json(request["messages"].get<std::string>());
  if (!messages.ok()) return {{"error", messages.status().message()}};
  qhx::text::ChatOptions options;
  options.tools = request["tools"].get<std::vector<std::string>>();
  options.add_generation_prompt = request["options"].value("add_generation_prompt", false);
  options.add_vision_id = request["options"].value("add_vision_id", false);
  options.literal_user_text = request["options"].value("literal_user_text", false);
  const auto rendered = qhx::text::render_chat(*format, *messages, options);
  if (!rendered.ok()) return {{"error", rendered.status().message()}};
  const auto encoded =
      qhx::text::encode_chat(tokenizer, *format, *messages,
                             request["picture_tokens"].get<std::vector<std::int32_t>>(), options);
  if (!encoded.ok()) return {{"error", encoded.status().message()}, {"text", rendered->text}};
  json pictures = json::array();
  for (const auto& range : encoded->pictures) pictures.push_back({range.begin, range.end});
  return {{"text", rendered->text}, {"ids", encoded->ids}, {"pictures", pictures}};
}

json answer(const qhx::text::Tokenizer& tokenizer, const json& request) {
  if (request.contains("messages")) return chat_answer(tokenizer, request);
  if (request.contains("ids")) {
    return tokenizer.decode(request["ids"].get<std::vector<std::int32_t>>(),
                            request.value("skip_special", false));
  }
  const std::string text = request.contains("hex")
                               ? bytes_from_hex(request["hex"].get<std::string>())
                               : request["text"].get<std::string>();
  return tokenizer.encode(text, !request.value("literal", false));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tokenizes JSON lines, for comparison with another tokenizer");
  std::string path;
  app.add_option("tokenizer", path, "tokenizer.json")->required();
  CLI11_PARSE(app, argc, argv);
  const auto tokenizer = qhx::text::Tokenizer::from_file(path);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << '\n';
    return 1;
  }
  std::ios::sync_with_stdio(false);
  try {
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << answer(*tokenizer, json::parse(line)).dump() << '\n';
    }
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
  return 0;
}
