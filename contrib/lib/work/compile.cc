// SPDX-License-Identifier: BSD-3-Clause
// What the compiler works on for contrib/capture: much of the standard library, instantiated often
// enough to keep cc1plus busy until its memory has been read.
#include <bits/stdc++.h>

template <int N> struct Shape {
	std::map<std::string, std::array<double, N>> rows;
	std::unordered_map<int, std::vector<std::tuple<int, std::string, std::array<char, N>>>> cells;
	std::regex pattern{"([a-z]+)-([0-9]{" + std::to_string(N) + "})"};

	std::string describe(const std::string &text) const
	{
		std::ostringstream out;
		for (const auto &[name, row] : rows)
			out << name << std::accumulate(row.begin(), row.end(), 0.0);
		for (std::sregex_iterator i(text.begin(), text.end(), pattern), end; i != end; ++i)
			out << i->str(1);
		return out.str();
	}

	void sort()
	{
		for (auto &[key, list] : cells)
			std::stable_sort(list.begin(), list.end(), [](const auto &a, const auto &b) {
				return std::get<1>(a) < std::get<1>(b) || std::get<2>(a)[0] < std::get<2>(b)[0];
			});
	}

	std::future<std::string> later(std::string text)
	{
		return std::async(std::launch::async, [this, text = std::move(text)] { sort(); return describe(text); });
	}
};

template <int... N> std::vector<std::string> all(std::integer_sequence<int, N...>)
{
	std::vector<std::string> out;
	(out.push_back(Shape<N + 1>{}.later("shape-" + std::to_string(N)).get()), ...);
	return out;
}

int main()
{
	for (const auto &line : all(std::make_integer_sequence<int, 200>{}))
		std::cout << line << '\n';
}
