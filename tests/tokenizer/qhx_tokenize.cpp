// The C++ side of parity.py. Reads one request a line from standard input and writes one JSON line
// for each:
//   {"text": "..."} or {"hex": "<bytes>"}          -> [ids] of the text; with "literal": true
//   without added tokens
//   {"ids": [...], "skip_special": bool}           -> "decoded text"
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

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

json answer(const qhx::text::Tokenizer& tokenizer, const json& request) {
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
