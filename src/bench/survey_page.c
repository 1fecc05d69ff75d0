/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page of a survey. See survey.h.
 *
 * 1. Nothing of the machine is written but by markup.h: names of files, processors and systems may be anything.
 * 2. The page asks for nothing: no script, no picture, no font, no link is followed, and its policy forbids all of them.
 * 3. The page is HTML and, to the letter, XML as well, so that a strict parser can judge it.
 * 4. Colours tell nothing by themselves. Every picture has a table with the same figures below it.
 */
#include "bench/survey.h"

#include "bench/markup.h"
#include "bench/publish.h"

#include <inttypes.h>
#include <math.h>

static const char style[] =
	":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#57606a;--line:#c9d1d9;--box:#f3f5f8;"
	"--accent:#1f5fa8}\n"
	"@media(prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e8eaed;--soft:#a9b1bb;--line:#3d444d;"
	"--box:#1f242b;--accent:#6cb0f5}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;padding:1rem;max-width:46rem;background:var(--paper);color:var(--ink);"
	"font:1rem/1.55 system-ui,sans-serif}\n"
	"h1{font-size:1.7rem;line-height:1.2;margin:1rem 0 .5rem}\n"
	"h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .5rem;border-top:1px solid var(--line);padding-top:1rem}\n"
	"p,ul{margin:.6rem 0}\n"
	"li{margin:.3rem 0}\n"
	".lead{font-size:1.1rem}\n"
	".note,caption,dt,small{color:var(--soft)}\n"
	".note{font-size:.92rem}\n"
	".warning,.kind{border:1px solid var(--ink);border-left-width:.4rem;padding:.5rem .8rem;background:var(--box)}\n"
	".steps{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.6rem,1fr));gap:.6rem;padding:0;margin:1rem 0;"
	"list-style:none}\n"
	".steps li{margin:0;padding:.7rem .8rem;border:1px solid var(--line);border-radius:.4rem;background:var(--box)}\n"
	".steps b{display:block;white-space:nowrap;font-size:1.4rem;line-height:1.2}\n"
	"figure{margin:1rem 0}\n"
	"svg{display:block;width:100%;max-width:34rem;height:auto;font-family:system-ui,sans-serif}\n"
	".wide{overflow-x:auto}\n"
	"table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}\n"
	"caption{text-align:left;padding-bottom:.3rem;font-size:.92rem}\n"
	"th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}\n"
	"th{font-weight:600}\n"
	"th:first-child{text-align:left;padding-left:0}\n"
	"tbody th{font-weight:400}\n"
	"th small,td small{display:block;font-size:.85em}\n"
	"dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.25rem 1rem;margin:.6rem 0}\n"
	"dd{margin:0;overflow-wrap:anywhere}\n"
	"code{font-family:ui-monospace,monospace;font-size:.92em;overflow-wrap:anywhere}\n"
	"p code{white-space:nowrap}\n"
	"tbody th.part{padding-left:1.2rem}\n"
	"pre{white-space:pre-wrap;border:1px solid var(--line);padding:.6rem .8rem;background:var(--box)}\n"
	"@media(max-width:30rem){th,td{padding:.35rem .2rem}}\n"
	"@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#333;--line:#999;--box:#fff;--accent:#444}\n"
	"body{max-width:none;padding:0;font-size:10.5pt}h2{margin-top:1.2rem;break-after:avoid}"
	"figure,table,.steps,.kind,dl{break-inside:avoid}svg{max-width:10cm}th,td{padding:.15rem .5rem}.wide{overflow:visible}}\n";

/* ------------------------------------------------------------------ for all parts */

double survey_share(const struct survey *survey, double bytes)
{
	return 100 * ratio_of(bytes, (double)(survey->pages->count * BLOCK));
}

struct survey_name survey_name_of(const struct codec *codec, int level)
{
	struct survey_name name;

	snprintf(name.text, sizeof name.text, "%s:%d", codec->name, level);
	return name;
}

struct survey_number survey_number(double value)
{
	struct survey_number number;
	double size = fabs(value);

	snprintf(number.text, sizeof number.text, "%.*f", size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2, value);
	return number;
}

/* ------------------------------------------------------------------ above all else */

static void put_head(FILE *out)
{
	fputs(PUBLISH_MARK
	      "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
	      "base-uri 'none'; form-action 'none'\"/>\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
	      "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
	      "<title>What compressed memory would gain on this machine</title>\n<style>\n",
	      out);
	fputs(style, out);
	fputs("</style>\n</head>\n<body>\n<main>\n", out);
}

/* `us`: what half of all reads of a page take at most; 0: it is not told. */
static void put_step(FILE *out, const char *when, double of_100, const char *how, double us)
{
	fprintf(out, "<li>%s <b>%s&#8239;MB</b> <small>", when, survey_number(of_100).text);
	markup_text(out, how);
	if (us > 0)
		fprintf(out, "<br/>back in %s&#8239;µs", survey_number(us).text);
	fputs("</small></li>\n", out);
}

/* The whole report in one glance: 100 MB, and what becomes of them. */
static void put_steps(FILE *out, const struct survey *survey)
{
	const struct options *options = survey->options;
	const struct cold_result *cold = &survey->cold;

	fputs("<ul class=\"steps\">\n", out);
	put_step(out, "In use", 100, "not compressed", 0);
	if (survey->zram.lz4)
		put_step(out, "The kernel&#8217;s zram", survey_share(survey, (double)survey->zram.lz4), "lz4", 0);
	put_step(out, "zsblk, at once", survey_share(survey, (double)cold->hot_bytes),
		 survey_name_of(cold->codec, cold->level).text, survey->results[0].load_latency.p50);
	put_step(out, "zsblk, after 15 minutes", survey_share(survey, (double)cold->cold.bytes),
		 survey_name_of(options->cold.codec, options->cold.level).text, cold->cold.read.p50);
	put_step(out, "zsblk, after 4 hours", survey_share(survey, (double)cold->frozen.bytes),
		 survey_name_of(options->frozen.codec, options->frozen.level).text, cold->frozen.read.p50);
	fputs("</ul>\n", out);
}

static void put_intro(FILE *out, const struct survey *survey)
{
	const struct pages *pages = survey->pages;

	fputs("<h1>What compressed memory would gain on this machine</h1>\n"
	      "<p class=\"lead\">Programs hold far more memory than they use at any moment. When memory runs short, Linux "
	      "can move what is not in use to <em>swap</em>. zsblk is such swap that needs no disk: it keeps these pages in "
	      "memory, but smaller, and packs them more tightly the longer nobody asks for them.</p>\n"
	      "<p>What becomes of each 100&#8239;MB of memory here, the longer nobody uses it:</p>\n",
	      out);
	put_steps(out, survey);
	fputs("<p class=\"note\">&#8220;Back in&#8221; is the time to read one page of 4&#8239;KiB, in millionths of a second: half of "
	      "all reads took no longer. zsblk packs what is not used if it is told to, with <code>cold=yes</code>. ",
	      out);
	markup_print(out, "Measured with %" PRIu64 " pages (%s MB) of %s", pages->count,
		     survey_number((double)(pages->count * BLOCK) / 1e6).text, pages->source);
	if (pages->count < pages->available)
		fprintf(out, ", a sample of %" PRIu64, pages->available);
	fputs(". This report has none of their contents.</p>\n", out);
	if (pages->synthetic)
		fputs("<p class=\"warning\"><strong>These pages are made up.</strong> They show that everything works, and how "
		      "fast, but not what your programs would gain. Measure without <code>--synthetic</code> to decide.</p>\n",
		      out);
}

/* ------------------------------------------------------------------ below */

static void put_limits(FILE *out, const struct survey *survey)
{
	bool has_zram = survey->zram.lz4 || survey->zram.zstd;

	fputs("<h2>What is measured, and what is not</h2>\n<ul>\n"
	      "<li><strong>Measured here:</strong> memory and times of zsblk&#8217;s own store, with these pages, on this machine",
	      out);
	fputs(has_zram ? "; and the memory of a zram device of its kernel with the same pages.</li>\n" : ".</li>\n",
	      out);
	if (survey->day.is_recorded)
		fputs("<li><strong>Recorded:</strong> when which block was asked for on the day above. ", out);
	else
		fputs("<li><strong>A projection:</strong> the whole day above. ", out);
	fputs("Sizes and times of its groups are real: these pages were compressed and decompressed for them. What the "
	      "policy does is simulated.</li>\n"
	      "<li><strong>Not measured:</strong> the way of a request through the kernel and to zsblk&#8217;s process and "
	      "back, which comes on top of every time; whether your programs would become faster or slower; other programs at "
	      "the same moment, which share the processors.</li>\n"
	      "<li><strong>Which pages are neighbours matters</strong> for cold and frozen data. Swap has them in the order in "
	      "which the kernel puts them away; here they are in the order of their addresses, unless the file has them in "
	      "another.</li>\n</ul>\n",
	      out);
}

static void put_term(FILE *out, const char *term)
{
	fprintf(out, "<dt>%s</dt><dd>", term);
}

/* Each library once. */
static void put_codecs(FILE *out)
{
	const char *last = "";

	put_term(out, "Codecs");
	for (unsigned i = 0; codec_at(i); i++) {
		const char *version = codec_at(i)->version();

		/* lz4hc is of the same library as lz4, which stands before it. */
		if (version != last)
			markup_print(out, "%s%s %s", i ? ", " : "", codec_at(i)->name, version);
		last = version;
	}
	fputs("</dd>\n", out);
}

static void put_machine(FILE *out, const struct survey *survey)
{
	const struct facts *facts = &survey->facts;

	fputs("<h2>The machine</h2>\n<dl>\n", out);
	put_term(out, "Processor");
	markup_print(out, "%s, %u in use", facts->processor, facts->processors);
	fputs("</dd>\n", out);
	put_term(out, "Memory");
	fprintf(out, "%s&#8239;GiB; swap: %s&#8239;GiB</dd>\n",
		survey_number((double)facts->memory_bytes / (1 << 30)).text,
		survey_number((double)facts->swap_bytes / (1 << 30)).text);
	put_term(out, "Kernel");
	markup_print(out, "%s, pages of %ld KiB", facts->kernel, facts->page_bytes / 1024);
	fputs("</dd>\n", out);
	if (*facts->system) {
		put_term(out, "System");
		markup_text(out, facts->system);
		fputs("</dd>\n", out);
	}
	put_codecs(out);
	put_term(out, "zsblk");
	markup_text(out, ZSBLK_BENCH_VERSION);
	fputs("</dd>\n</dl>\n", out);
}

static void put_repeat(FILE *out, const struct survey *survey)
{
	fputs("<h2>To repeat this</h2>\n<p>Made on <time>", out);
	markup_text(out, survey->facts.date);
	fputs("</time> with</p>\n<pre><code>", out);
	markup_command(out, survey->options->words);
	fputs("</code></pre>\n<p class=\"note\">MB are 10<sup>6</sup> bytes, KiB 1024 and GiB 2<sup>30</sup>. "
	      "<code>man zsblk-bench</code> explains every figure.</p>\n",
	      out);
}

void survey_page(FILE *out, const struct survey *survey)
{
	put_head(out);
	put_intro(out, survey);
	survey_memory(out, survey);
	survey_latency(out, survey);
	survey_day(out, survey);
	put_limits(out, survey);
	put_machine(out, survey);
	put_repeat(out, survey);
	fputs("</main>\n</body>\n</html>\n", out);
}
