#include "forge/ranges/texts.h"

namespace qhx::forge {
namespace {

constexpr const char* kShort[] = {
    "What is the capital of France, and how far is it from Berlin? Answer in one sentence.",
    "def mean(values):\n    return sum(values) / len(values)  # 3.14159e-10, 0x7fff, [1, 2, 3]",
    "请用一句话介绍一下长城的历史。 日本の首都は東京です。 대한민국의 수도는 서울입니다.",
    "Какой сегодня день? ما هي عاصمة مصر؟ भारत की राजधानी क्या है? "
    "🙂",
};

constexpr const char* kPassages[] = {
    "The picture shows a narrow street after rain. On the left a woman in a yellow coat holds a "
    "closed umbrella; behind her, two bicycles lean against a brick wall. A blue sign above the "
    "door says \"BAKERY - open 7 to 18\", and in the window there are loaves, rolls and a small "
    "handwritten card with prices. To the right of the door stands a green bench, empty but for a "
    "newspaper. In the background one can make out a church tower, half hidden by trees, and a "
    "tram that is just turning the corner. The light is low and warm, so it is probably late in "
    "the afternoon. There are no cars.",

    "Question: A train leaves at 9:40 and arrives at 13:05. It stops for 12 minutes on the way. "
    "How long is it moving?\nAnswer: From 9:40 to 13:05 are 3 hours and 25 minutes, that is 205 "
    "minutes. Without the stop it moves for 205 - 12 = 193 minutes, or 3 hours and 13 minutes.\n"
    "Question: And how fast is it on average while it moves, if the line is 386 km long?\nAnswer: "
    "386 km in 193 minutes are 2 km a minute, so 120 km/h.\nQuestion: Is that more than the 110 "
    "km/h that the brochure promises?\nAnswer: Yes, by 10 km/h, or about 9 percent.",

    "```python\nimport json\nfrom pathlib import Path\n\n\ndef load_prices(folder, "
    "currency=\"EUR\")"
    ":\n    \"\"\"Prices of all files, newest last. Raises ValueError for an unknown "
    "currency.\"\"\"\n    prices = {}\n    for path in sorted(Path(folder).glob(\"*.json\")):\n"
    "        data = json.loads(path.read_text())\n        if data[\"currency\"] != currency:\n"
    "            raise ValueError(f\"{path}: expected {currency}\")\n        for item in "
    "data[\"items\"]:\n            prices[item[\"name\"]] = round(item[\"price\"] * 1.19, 2)\n    "
    "return prices\n```\nThe function reads every file in the folder and keeps the last price of "
    "each item. If two files name the same item, the later file wins.",

    "{\"invoice\": 20417, \"date\": \"2024-03-18\", \"customer\": {\"name\": \"Meyer & Sons\", "
    "\"city\": \"Bremen\"}, \"lines\": [{\"article\": \"hinge, brass\", \"count\": 24, \"each\": "
    "1.85}, {\"article\": \"door handle\", \"count\": 6, \"each\": 14.2}], \"paid\": false}\n\n"
    "| article | count | each | total |\n|---|---:|---:|---:|\n| hinge, brass | 24 | 1.85 | 44.40 "
    "|\n| door handle | 6 | 14.20 | 85.20 |\n\nThe sum is 129.60 before tax. The invoice has not "
    "been paid yet; payment is due thirty days after the date above.",

    "Dear Ms Okafor,\n\nthank you for your letter of last week. We are sorry that the lamp arrived "
    "with a broken shade. A new one left our warehouse this morning and should reach you on "
    "Thursday; there is no need to send the old one back. If you would rather have your money "
    "returned, please tell us and we will see to it at once.\n\nKind regards\nTomas Lind\n\n1. "
    "Unplug the lamp and let it cool.\n2. Turn the ring below the bulb to the left until it comes "
    "off.\n3. Lift the old shade, put the new one in its place, and tighten the ring by hand.",

    "Water boils when the pressure of its vapour equals that of the air around it. High in the "
    "mountains the air is thinner, so this happens at a lower temperature: at 3000 metres already "
    "near 90 degrees. Food then needs longer to cook, although the water bubbles just as much. A "
    "pressure cooker does the opposite. Its lid keeps the steam inside, the pressure rises to "
    "about twice that of the air, and the water reaches 120 degrees before it boils. What takes an "
    "hour in an open pot is done in twenty minutes.",

    "请看下面的菜单：宫保鸡丁 38 元，清炒时蔬 22 元，米饭 3 元。如果两个人各点一份米饭，再加一道"
    "鸡丁和一道蔬菜，一共是 38 + 22 + 3 + 3 = 66 元。用一张一百元的钞票付款，应找回 34 元。这家"
    "小店在火车站的东边，早上十点开门，晚上九点关门，星期一休息。",

    "Der Zug nach Hamburg hat heute zwölf Minuten Verspätung und fährt von Gleis 7. Wer umsteigen "
    "muss, findet den Anschluss am selben Bahnsteig gegenüber. En la mesa hay tres platos, dos "
    "vasos y una jarra de agua; falta el pan. Le musée est fermé le mardi, mais le jardin reste "
    "ouvert jusqu'à vingt heures, et l'entrée en est gratuite.",
};

constexpr const char* kHeldOut[] = {
    "A wooden table stands in front of a window. On it are a white teapot, two cups and an open "
    "book; one of the cups is empty. Outside it snows, and footprints lead from the gate to the "
    "door. A grey cat sleeps on the chair to the right, next to a red scarf.",

    "Question: A box holds 48 apples. A third of them are green, the rest are red. How many red "
    "apples are there?\nAnswer: A third of 48 is 16, so 48 - 16 = 32 apples are red.\nQuestion: "
    "Five of the red ones are eaten. What part of all that is left is green?\nAnswer: 43 apples "
    "are left, of which 16 are green: a little more than a third.",

    "```c\n/* Number of days in a month; 0 for a month that there is not. */\nint days(int month, "
    "int year) {\n  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? "
    "29 : 28;\n  if (month < 1 || month > 12) return 0;\n  return month == 4 || month == 6 || "
    "month == 9 || month == 11 ? 30 : 31;\n}\n```",

    "The library opens at ten and closes at six, on Fridays at four. Books may be kept for three "
    "weeks; each day after that costs twenty cents. 图书馆星期日不开放。 Am Eingang steht ein "
    "Kasten, in den man Bücher auch nachts werfen kann.",
};

}  // namespace

std::span<const char* const> short_texts() { return kShort; }
std::span<const char* const> passages() { return kPassages; }
std::span<const char* const> held_out_texts() { return kHeldOut; }

}  // namespace qhx::forge
