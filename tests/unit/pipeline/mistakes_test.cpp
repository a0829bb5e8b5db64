#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>

#include "tests/unit/pipeline/pipelines.hpp"

namespace halftone {
namespace {

struct Mistake {
    const char* name;
    std::string toml;
    const char* place;     // line:column; the line alone where the TOML library decides
    const char* fragment;  // of the message or the advice
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
    *out << mistake.name;
}

// Put into the least pipeline from line 7 on, which is inside [quantize].
std::string with(const std::string& more) {
    return least + more;
}

std::string rule(const std::string& more) {
    return least + "[[rule]]\n" + more;
}

const std::vector<Mistake>& mistakes() {
    static const std::vector<Mistake> all = {
        // What is no TOML.
        {"Unquoted", "[quantize]\nformat = fp8\n", "2:10", "text must be in quotes: format = \"fp8\""},
        {"UnquotedLikeTrue", "[quantize]\nformat = t5xxl\n", "2:10", "format = \"t5xxl\""},
        {"UnquotedLikeInf", "[quantize]\n  format=int8\n", "2:10", "format = \"int8\""},
        {"UnquotedPath", "[input]\npath = /data/x.safetensors # here\n", "2:8",
         "path = \"/data/x.safetensors\""},
        {"UnquotedSize", with("[run]\nmemory = 2GiB\n"), "8:10", "memory = \"2GiB\""},
        {"Yes", with("full_precision_matrix_mult = yes\n"), "7:30", "write true"},
        {"PythonTrue", with("full_precision_matrix_mult = True\n"), "7:30", "write true, in lower case"},
        {"PythonNone", with("[run]\nthreads = None\n"), "8:11", "or leave the key out"},
        {"Null", with("[run]\nthreads = null\n"), "8:11", "leave the key out"},
        {"NoClosingQuote", "[input]\npath = \"in\n", "2", "no closing quote"},
        {"NoClosingQuoteAtEnd", "[input]\npath = \"in", "2", "no closing quote"},
        {"Backslashes", "[input]\npath = \"C:\\models\\in\"\n", "2", "single quotes"},
        {"NoClosingBracket", "[input\npath = \"in\"\n", "1", "not closed with ']'"},
        {"ListNotClosed", rule("match = [\"a\", \"b\"\n"), "8", "never closed"},
        {"ListWithoutComma", rule("match = [\"a\" \"b\"]\n"), "8", "expected ',' or ']'"},
        {"Colon", "[input]\npath: \"in\"\n", "2", "TOML writes key = value"},
        {"NoEquals", "[input]\npath\n", "2", "expected '='"},
        {"NoValue", "[input]\npath =\n", "2", "no value"},
        {"Json", "{\"input\": 1}\n", "1", "not valid TOML"},
        {"TwoOnALine", with("on_refusal = \"keep\" on_nonfinite = \"keep\"\n"), "7", "comment"},
        {"LeadingZero", with("[run]\nthreads = 08\n"), "8", "leading zeroes"},
        {"KeyTwice", with("format = \"int8\"\n"), "7", "'format' is given twice"},
        {"SectionTwice", with("[input]\n"), "7", "[input] is given twice"},
        {"RuleThenRules", with("[[rule]]\nmatch=\"a\"\naction=\"keep\"\n[rule]\n"), "10",
         "write [[rule]] every time"},
        {"BadDate", with("since = 2024-13-01\n"), "7", "month between 1 and 12"},
        {"NotUtf8", "# caf\xE9\n[input]\n", "1:6", "0xe9 is not UTF-8"},
        {"TooDeep", "x = " + std::string(50, '[') + std::string(50, ']'), "1:37", "nested too deep"},
        {"TooManyParts", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r = 1", "1:34", "too many parts"},

        // Sections and keys that do not exist, or not there.
        {"UnknownSection", "[quantise]\nformat = \"fp8\"\n", "1:2",
         "unknown section [quantise]; did you mean 'quantize'?"},
        {"UnknownSectionListed", with("[frobnicate]\n"), "7:2", "the sections are input, output, model"},
        {"KeyInFront", "format = \"fp8\"\n", "1:1", "'format' is chosen in [quantize]"},
        {"ThreadsInFront", "threads = 2\n" + least, "1:1",
         "'threads' stands in front of all sections; it belongs in [run]"},
        {"StrangeKeyInFront", "thing = 2\n" + least, "1:1", "unknown key 'thing' in front of all sections"},
        {"UnknownKey", with("[run]\nthread = 2\n"), "8:1",
         "unknown key 'thread' in [run]; did you mean 'threads'?"},
        {"UnknownKeyListed", with("[run]\nfrobnicate = 2\n"), "8:1",
         "[run] knows threads, memory, device, verify"},
        {"KeyOfAnotherSection", with("[run]\nformat = \"fp8\"\n"), "8:1",
         "it belongs in [quantize], [[rule]] or [fallback]"},
        {"HostKeyAsOption", with("threads = 2\n"), "7:1",
         "unknown key 'threads' in [quantize]; it belongs in [run]"},
        {"RuleKeyInQuantize", with("match = \"*\"\n"), "7:1", "it belongs in [[rule]]"},
        {"QuantizeKeyInRule", rule("match = \"*\"\nformat = \"fp8\"\non_refusal = \"keep\"\n"), "10:1",
         "it belongs in [quantize]"},
        {"ReservedWordInQuantize", with("exclude = \"*\"\n"), "7:1", "unknown key 'exclude' in [quantize]"},
        {"HostKeyInFormat", with("[format.fp8]\noptimizer = \"none\"\n"), "8:1",
         "'optimizer' is no option of a plugin"},
        {"SubsectionInQuantize", with("[quantize.fp8]\nscaling = \"row\"\n"), "7:11",
         "[quantize] has no table 'fp8'"},
        {"DottedIdUnquoted", with("[format.acme.int4]\nx = 1\n"), "7:14", "[format.\"acme.int4\"]"},
        {"OptionsWithoutId", with("[format]\nscaling = \"row\"\n"), "8:1", "[format.scaling]"},
        {"OptionsOfKeep", with("[format.keep]\nx = 1\n"), "7:9", "'keep' is no format"},

        // Sections of the wrong shape.
        {"SectionIsText", "output = \"x\"\n", "1:10",
         "expected a section [output], but found the text \"x\""},
        {"FormatIsText", "format = \"fp8\"\n" + least, "1:1", "expected a section [format.ID]"},
        {"SectionTwiceAsList", "[[output]]\npath = \"x\"\n", "1:1", "write [output], not [[output]]"},
        {"SingleRule", with("[rule]\nmatch = \"*\"\n"), "7:1", "write [[rule]], not [rule]"},
        {"RuleIsText", "rule = \"x\"\n" + least, "1:8", "expected sections [[rule]]"},
        {"RuleIsListOfTexts", "rule = [\"x\"]\n" + least, "1:9",
         "expected a section [[rule]], but found the text"},

        // Types, ranges and choices.
        {"TextForInteger", with("[run]\nthreads = \"2\"\n"), "8:11",
         "expected an integer, but found the text \"2\""},
        {"TextForIntegerAdvice", with("[run]\nthreads = \"2\"\n"), "8:11", "leave out the quotes"},
        {"RealForInteger", with("[run]\nthreads = 2.0\n"), "8:11",
         "expected an integer, but found the number 2.0"},
        {"TextForBoolean", with("full_precision_matrix_mult = \"true\"\n"), "7:30", "expected true or false"},
        {"IntegerForText", with("on_refusal = 1\n"), "7:14",
         "expected text in quotes, but found the integer 1"},
        {"IntegerForPath", "[input]\npath = 5\n", "2:8", "[input] path: expected text in quotes"},
        {"ListForFormat", "[quantize]\nformat = [\"fp8\"]\n", "2:10", "but found a list"},
        {"DateForText", rule("match = \"*\"\nname = 2024-01-01\n"), "9:8", "a date or time"},
        {"IntegerInMatch", rule("match = [\"a\", 2]\n"), "8:15",
         "expected text in quotes or a list of texts"},
        {"BadSize", with("[run]\nmemory = \"2 gigs\"\n"), "8:10", "expected a size such as \"64MiB\""},
        {"NegativeSize", with("[run]\nmemory = -1\n"), "8:10", "but found the integer -1"},
        {"LittleMemory", with("[run]\nmemory = \"63MiB\"\n"), "8:10", "must be at least 64 MiB, not 63 MiB"},
        {"MemoryInGigabytes", with("[run]\nmemory = 8\n"), "8:10", "must be at least 64 MiB, not 8 B"},
        {"LittleShard", "[output]\nshard_size = 5\n", "2:14", "must be at least 4 KiB, not 5 B"},
        {"NegativeThreads", with("[run]\nthreads = -1\n"), "8:11",
         "[run] threads must be between 0 and 4096, not -1"},
        {"ManyThreads", with("[run]\nthreads = 100000\n"), "8:11", "between 0 and 4096"},
        {"BadChoice", "[output]\nkept = \"bf61\"\n", "2:8",
         "[output] kept must be \"source\", \"bf16\" or \"f16\", not \"bf61\"; did you mean 'bf16'?"},
        {"BadAction", rule("match = \"*\"\naction = \"skip\"\n"), "9:10",
         "must be \"quantize\", \"keep\" or \"remove\", not \"skip\""},
        {"UpperCaseId", "[quantize]\nformat = \"FP8\"\n", "2:10", "did you mean 'fp8'?"},
        {"PathAsId", "[quantize]\nformat = \"./evil.so\"\n", "2:10", "'./evil.so' is no format id"},
        {"WordOfAnotherKind", "[quantize]\nformat = \"none\"\n", "2:10",
         "[quantize] format: \"none\" is no format"},
        {"OptimizerKeep", with("optimizer = \"keep\"\n"), "7:13", "\"keep\" is no optimizer"},
        {"EmptyId", "[quantize]\nformat = \"\"\n", "2:10", "is no format id"},
        {"BadProfileInList", with("[model]\nprofile = [\"flux\", \"T5\"]\n"), "8:20",
         "'T5' is no profile id"},
        {"BadFormatTable", with("[format.FP8]\nx = 1\n"), "7:9", "did you mean 'fp8'?"},
        {"OptionIsDate", with("since = 2024-01-01\n"), "7:9", "dates and times have no use"},
        {"OptionIsListOfIntegers", with("layers = 1\n[format.fp8]\nx = [\"a\", 2]\n"), "7:1",
         "unknown key 'layers'"},
        {"ListOptionOfIntegers", with("[format.fp8]\nx = [\"a\", 2]\n"), "8:11",
         "a list holds texts in quotes, not the integer 2"},

        // Paths.
        {"Tilde", "[input]\npath = \"~/models/in.safetensors\"\n", "2:8", "'~' is not expanded"},
        {"EmptyPath", "[input]\npath = \"\"\n", "2:8", "[input] path is empty"},
        {"NulInPath", "[input]\npath = \"a\\u0000b\"\n", "2:8", "NUL"},
        {"OutputIsInput",
         "[input]\npath = \"a/in\"\n[output]\npath = \"./a/../a/in\"\n[quantize]\nformat=\"fp8\"\n", "4:8",
         "the output is the input"},
        {"ReportIsOutput", with("[report]\njson = \"out.safetensors\"\n"), "8:8",
         "the report would overwrite the output"},
        {"ReportIsInput", with("[report]\njson = \"./in.safetensors\"\n"), "8:8",
         "the report would overwrite the input"},

        // What is missing.
        {"Empty", "", "1:1", "[quantize] needs a format"},
        {"NoFormat", "[input]\n[quantize]\n", "2:1", "[quantize] needs a format"},
        {"FormatMistyped", "[quantize]\nfromat = \"fp8\"\n", "1:1",
         "did you mean 'format' by 'fromat' (t.toml:2:10)?"},
        {"NoInput", "[output]\npath=\"o\"\n[quantize]\nformat=\"fp8\"\n", "1:1", "[input] needs a path"},
        {"NoOutputPath", "[input]\npath=\"i\"\n[quantize]\nformat=\"fp8\"\n[output]\n", "5:1",
         "[output] needs a path"},
        {"RuleWithoutPattern", rule("action = \"keep\"\n"), "7:1", "rule 1 has neither 'match' nor 'regex'"},
        {"RuleWithMistypedPattern", rule("mach = \"*\"\nformat = \"fp8\"\n"), "7:1",
         "did you mean 'match' by 'mach' (t.toml:8:8)?"},
        {"RuleWithoutAction", rule("match = \"*\"\n"), "7:1", "rule 1 does not say what to do"},
        {"RuleWithOnlyOptions", rule("match = \"*\"\nscaling = \"row\"\n"), "7:1",
         "give it a format, or an action"},
        {"FallbackWithoutFormat", with("[fallback]\nscaling = \"row\"\n"), "7:1",
         "[fallback] needs a format"},

        // What contradicts itself.
        {"KeepWithFormat", rule("match = \"*\"\naction = \"keep\"\nformat = \"int8\"\n"), "10:1",
         "'format' has no meaning here: rule 1 has action = \"keep\""},
        {"KeepWithOption", rule("match = \"*\"\naction = \"remove\"\nscaling = \"row\"\n"), "10:11",
         "'scaling' has no meaning here"},
        {"KeepWithOptimizer", rule("match = \"*\"\naction = \"keep\"\noptimizer = \"none\"\n"), "10:1",
         "'optimizer' has no meaning here"},
        {"FormatKeepInRule", rule("match = \"*\"\nformat = \"keep\"\n"), "9:10", "write action = \"keep\""},
        {"QuantizeByKeep",
         "[input]\npath=\"i\"\n[output]\npath=\"o\"\n[quantize]\nformat=\"keep\"\n[[rule]]\nmatch=\"*"
         "\"\naction=\"quantize\"\n",
         "7:1", "rule 1 needs a format"},
        {"KeepWithOptionInQuantize", "[quantize]\nformat = \"keep\"\nscaling = \"row\"\n", "3:11",
         "the format \"keep\" has no options"},
        {"FallbackKeepWithOption", with("[fallback]\nformat = \"keep\"\nscaling = \"row\"\n"), "9:11",
         "the fallback has format = \"keep\""},
        {"NoneBesideProfile", with("[model]\nprofile = [\"flux\", \"none\"]\n"), "8:20",
         "\"none\" cannot stand beside others"},
        {"AutoBesideProfile", with("[model]\nprofile = [\"auto\", \"flux\"]\n"), "8:12",
         "\"auto\" cannot stand beside others"},
        {"ProfileTwice", with("[model]\nprofile = [\"flux\", \"t5xxl\", \"flux\"]\n"), "8:29",
         "names 'flux' twice"},
        {"NoProfiles", with("[model]\nprofile = []\n"), "8:11", "is an empty list"},
        {"RuleNamesTwice",
         rule("match=\"a\"\naction=\"keep\"\nname=\"x\"\n[[rule]]\nmatch=\"b\"\naction=\"keep\"\nname = "
              "\"x\"\n"),
         "14:8", "the rule at t.toml:7:1 is called 'x' too"},
        {"RuleNamedLikeAnother",
         rule("match=\"a\"\naction=\"keep\"\nname = \"rule 2\"\n[[rule]]\nmatch=\"b\"\naction=\"keep\"\n"),
         "10:8", "is called 'rule 2' too"},
        {"EmptyRuleName", rule("match=\"a\"\naction=\"keep\"\nname = \"\"\n"), "10:8", "name is empty"},
        {"MetadataOfLegacy",
         "[input]\npath=\"i\"\n[output]\npath=\"o\"\nlayout=\"legacy\"\nmetadata = "
         "\"tensor\"\n[quantize]\nformat=\"fp8\"\n",
         "6:12", "no meaning with layout = \"legacy\""},

        // Patterns.
        {"EmptyMatch", rule("match = \"\"\naction=\"keep\"\n"), "8:9", "[[rule]] match is empty"},
        {"EmptyMatchInList", rule("match = [\"a\", \"\"]\naction=\"keep\"\n"), "8:15",
         "[[rule]] match is empty"},
        {"NoMatches", rule("match = []\naction=\"keep\"\n"), "8:9", "is an empty list"},
        {"NoRegex", rule("regex = []\naction=\"keep\"\n"), "8:9", "[[rule]] regex is an empty list"},
        {"BraceGlob", rule("match = [\"ok\", \"*.{q,k}.weight\"]\naction=\"keep\"\n"), "8:16",
         "give a list of globs"},
        {"OpenBracket", rule("match = \"a[bc\"\naction=\"keep\"\n"), "8:9", "'a[bc': '[' is never closed"},

        {"Objective", with("[rounding]\nobjective = \"squered\"\n"), "8:13",
         "'squered' is no objective; did you mean 'squared'?"},
        {"Judge", with("[rounding]\njudge = \"svd + x * squared\"\n"), "8:9", "'x' is no weight"},
        {"JudgeWeight", with("[rounding]\njudge = \"-1 * svd\"\n"), "8:9", "'-1' is no weight"},
        {"Ranks", with("[rounding]\nmin_rank = 9\nmax_rank = 8\n"), "8:12",
         "min_rank is 9, above max_rank, which is 8"},

        // What later versions will do.
        {"Bias", with("[bias]\ncorrection = \"synthetic\"\n"), "8:1", "is not available in this version"},
        {"Html", with("[report]\nhtml = \"x.html\"\n"), "8:1", "[report] html is not available"},
    };
    return all;
}

class PipelineMistake : public testing::TestWithParam<Mistake> {};

TEST_P(PipelineMistake, IsRefusedWithPlaceAndReason) {
    const std::optional<Error> error = refusal(GetParam().toml);
    ASSERT_TRUE(error);
    const std::string place = fmt::format("t.toml:{}", GetParam().place);
    if (std::string(GetParam().place).find(':') == std::string::npos)
        EXPECT_TRUE(error->where().starts_with(place + ":")) << error->what();
    else
        EXPECT_EQ(error->where(), place) << error->problem();
    const std::string said = error->problem() + "\n" + error->advice();
    EXPECT_NE(said.find(GetParam().fragment), std::string::npos) << said;
    EXPECT_FALSE(error->problem().ends_with('.')) << said;
}

INSTANTIATE_TEST_SUITE_P(All, PipelineMistake, testing::ValuesIn(mistakes()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PipelineFile, ThatIsMissingIsAMistakeOfTheCommandLine) {
    try {
        read_pipeline("no/such/pipeline.toml");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        EXPECT_EQ(error.where(), "no/such/pipeline.toml");
    }
}

TEST(PipelineFile, OfAbsurdSizeIsNotRead) {
    const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "halftone_huge.toml";
    std::ofstream(path) << "x";
    std::filesystem::resize_file(path, (uint64_t{16} << 20) + 1);
    try {
        read_pipeline(path);
        ADD_FAILURE();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Exit::usage);
        EXPECT_NE(error.problem().find("at most 16 MiB"), std::string::npos) << error.problem();
    }
    std::filesystem::remove(path);
}

TEST(PipelineFile, ThatIsAFolderIsRefused) {
    EXPECT_THROW(read_pipeline(testing::TempDir()), Error);
}

}  // namespace
}  // namespace halftone
