# SPDX-License-Identifier: BSD-3-Clause
# A program at work for contrib/capture: an index of every word in Perl's own library.
use strict;
use warnings;
use File::Find;

my (%index, %text);
my @files;
find({ wanted => sub { push @files, $_ if /\.(pm|pod|pl)$/ }, no_chdir => 1 }, grep { -d } @INC);
for my $file (sort @files) {
	open my $in, '<', $file or next;
	my $number = 0;
	while (my $line = <$in>) {
		$number++;
		chomp $line;
		$text{$file}[$number] = $line;
		push @{ $index{$_} }, "$file:$number" for $line =~ /([A-Za-z_]{3,})/g;
	}
}
$| = 1;
print "done\n";
sleep 3600;
