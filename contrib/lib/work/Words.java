// SPDX-License-Identifier: BSD-3-Clause
// A program at work for contrib/capture: an index of the words of a text tree, as Java collections.
import java.nio.file.*;
import java.util.*;
import java.util.stream.*;

public class Words {
	record Place(String file, int line) {}

	public static void main(String[] args) throws Exception {
		Map<String, List<Place>> index = new TreeMap<>();
		List<String> text = new ArrayList<>();
		List<Path> files;
		try (Stream<Path> walk = Files.walk(Path.of(args[0]))) {
			files = walk.filter(p -> p.toString().endsWith(".py")).sorted().collect(Collectors.toList());
		}
		for (Path file : files) {
			int number = 0;
			for (String line : new String(Files.readAllBytes(file)).split("\n")) {
				text.add(line);
				for (String word : line.split("\\W+"))
					index.computeIfAbsent(word, w -> new ArrayList<>()).add(new Place(file.toString(), number));
				number++;
			}
		}
		System.out.println("done");
		Thread.sleep(3600_000);
	}
}
