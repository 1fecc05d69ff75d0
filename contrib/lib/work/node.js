// SPDX-License-Identifier: BSD-3-Clause
// A program at work for contrib/capture: reads a text tree into objects and parses its JSON form.
const fs = require("fs");
const path = require("path");
const [dir] = process.argv.slice(2);
const docs = [];
const words = new Map();
function walk(at) {
	for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
		const file = path.join(at, entry.name);
		if (entry.isDirectory()) {
			walk(file);
		} else if (entry.name.endsWith(".py")) {
			const lines = fs.readFileSync(file, "utf8").split("\n");
			docs.push(JSON.parse(JSON.stringify({ file, lines: lines.map((text, n) => ({ n, text, size: text.length })) })));
			for (const [n, text] of lines.entries())
				for (const word of text.match(/\w{3,}/g) || [])
					(words.get(word) || words.set(word, []).get(word)).push({ file, n });
		}
	}
}
walk(dir);
console.log("done");
setTimeout(() => {}, 3600e3);
