/* The trace's two forms: what is written is read, and whatever is damaged is found, wherever the damage is. */
#include "trace/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/iobuf-test-trace.XXXXXX";
static char wrong[300];

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void put_file(const void *bytes, size_t size)
{
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static size_t saved(const struct trace *trace, bool binary, uint8_t **bytes)
{
    size_t size = 0;
    FILE *const file = open_memstream((char **)bytes, &size);
    assert_non_null(file);
    assert_true(binary ? trace_save_binary(file, trace) : trace_save_text(file, trace));
    assert_int_equal(fclose(file), 0);
    return size;
}

static bool load(const void *bytes, size_t size, struct trace *trace)
{
    put_file(bytes, size);
    return trace_load(path, trace, wrong, sizeof wrong);
}

/* A trace that contradicts itself nowhere: many ties of time, many threads, numbers from small to huge. */
static struct trace made(uint64_t seed, size_t count)
{
    uint64_t state = seed * 2 + 1;
    uint64_t time = 0;
    struct trace trace = {.events = calloc(count, sizeof *trace.events)};
    uint64_t *const live = calloc(count, sizeof *live);
    size_t lives = 0;
    assert_non_null(trace.events);
    assert_non_null(live);
    while (trace.count < count) {
        struct trace_event *const event = &trace.events[trace.count++];
        time += draw(&state) % 3 == 0 ? draw(&state) % 100000 : 0;
        event->time = time;
        event->thread = (uint32_t)(draw(&state) % 5) * 1000;
        event->site = draw(&state) % 4 == 0 ? (uint32_t)draw(&state) : 0;
        event->kind = lives == 0 ? TRACE_ALLOC : (enum trace_kind)(draw(&state) % (TRACE_HANDOVER + 1));
        if (event->kind == TRACE_ALLOC) {
            event->id = draw(&state) >> draw(&state) % 60;
            event->bytes = draw(&state) % (TRACE_LARGEST + 1) >> draw(&state) % 30;
            event->reserve = draw(&state) % 2 == 0 ? 64 : 0;
            live[lives++] = event->id;
            for (size_t at = 0; at + 1 < trace.count; at++) {
                if (trace.events[at].kind == TRACE_ALLOC && trace.events[at].id == event->id) {
                    lives--; /* numbers are not used again */
                    trace.count--;
                    *event = (struct trace_event){0};
                    break;
                }
            }
            continue;
        }
        const size_t chosen = (size_t)(draw(&state) % lives);
        event->id = live[chosen];
        event->bytes = event->kind == TRACE_RELEASE ? 0 : event->kind == TRACE_COALESCE ? 1 : draw(&state) % 4096;
        if (event->kind == TRACE_RELEASE)
            live[chosen] = live[--lives];
    }
    free(live);
    return trace;
}

static void assert_same(const struct trace *left, const struct trace *right)
{
    assert_int_equal(left->count, right->count);
    for (size_t at = 0; at < left->count; at++) {
        const struct trace_event *const one = &left->events[at];
        const struct trace_event *const other = &right->events[at];
        assert_int_equal(one->time, other->time);
        assert_int_equal(one->id, other->id);
        assert_int_equal(one->bytes, other->bytes);
        assert_int_equal(one->reserve, other->reserve);
        assert_int_equal(one->thread, other->thread);
        assert_int_equal(one->site, other->site);
        assert_int_equal(one->kind, other->kind);
    }
    assert_int_equal(left->site_count, right->site_count);
    for (size_t at = 0; at < left->site_count; at++) {
        assert_int_equal(left->sites[at].number, right->sites[at].number);
        assert_string_equal(left->sites[at].name, right->sites[at].name);
    }
}

static void both_forms_give_back_what_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct trace trace = made(seed, seed == 39 ? 9000 : 300);
        struct trace_site site = {7, (char *)"some name"};
        trace.sites = &site;
        trace.site_count = 1;
        assert_true(trace_check(&trace, wrong, sizeof wrong));
        for (int binary = 0; binary < 2; binary++) {
            struct trace back;
            uint8_t *bytes = NULL;
            const size_t size = saved(&trace, binary != 0, &bytes);
            assert_true(load(bytes, size, &back));
            assert_true(back.ended);
            assert_string_equal(back.lost, "");
            assert_same(&back, &trace);
            trace_free(&back);
            free(bytes);
        }
        free(trace.events);
    }
}

static void a_binary_cut_at_any_byte_is_read_up_to_there(void **state)
{
    (void)state;
    struct trace trace = made(1, 300);
    uint8_t *bytes = NULL;
    const size_t size = saved(&trace, true, &bytes);
    size_t most = 0;
    for (size_t cut = 1; cut < size; cut++) {
        struct trace back;
        const bool fine = load(bytes, cut, &back);
        assert_int_equal(fine, cut >= TRACE_FILE_HEADER);
        if (fine) {
            assert_false(back.ended);
            assert_string_not_equal(back.lost, "");
            /* What was read contradicts itself nowhere. */
            assert_true(back.count == 0 || trace_check(&back, wrong, sizeof wrong));
            assert_true(back.count + back.lost_events >= most);
            most = back.count + back.lost_events;
        }
        trace_free(&back);
    }
    assert_int_equal(most, trace.count);
    free(bytes);
    free(trace.events);
}

static void a_changed_byte_is_found_wherever_it_is(void **state)
{
    (void)state;
    struct trace trace = made(2, 300);
    uint8_t *bytes = NULL;
    const size_t size = saved(&trace, true, &bytes);
    for (size_t at = 0; at < size; at++) {
        struct trace back;
        bytes[at] ^= 0x10;
        const bool fine = load(bytes, size, &back);
        assert_int_equal(fine, at >= TRACE_FILE_HEADER);
        if (fine)
            assert_true(back.lost_bytes != 0 && back.lost[0] != '\0');
        bytes[at] ^= 0x10;
        trace_free(&back);
    }
    free(bytes);
    free(trace.events);
}

static void a_chunk_that_is_missing_ends_what_can_be_read(void **state)
{
    (void)state;
    struct trace trace = made(4, 300);
    struct trace back;
    uint8_t *bytes = NULL;
    const size_t size = saved(&trace, true, &bytes);
    const size_t first = TRACE_CHUNK_HEADER + bytes[TRACE_FILE_HEADER] + 256u * bytes[TRACE_FILE_HEADER + 1];
    memmove(bytes + TRACE_FILE_HEADER, bytes + TRACE_FILE_HEADER + first, size - TRACE_FILE_HEADER - first);
    assert_true(load(bytes, size - first, &back));
    assert_false(back.ended);
    assert_int_equal(back.count, 0);
    assert_int_equal(back.lost_bytes, size - first - TRACE_FILE_HEADER);
    trace_free(&back);
    free(bytes);
    free(trace.events);
}

static void a_text_cut_within_a_line_is_refused(void **state)
{
    (void)state;
    struct trace trace = made(3, 20);
    uint8_t *bytes = NULL;
    const size_t size = saved(&trace, false, &bytes);
    for (size_t cut = 1; cut < size; cut++) {
        struct trace back;
        assert_int_equal(load(bytes, cut, &back), bytes[cut - 1] == '\n');
        trace_free(&back);
    }
    free(bytes);
    free(trace.events);
}

static void random_bytes_are_no_trace(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (unsigned round = 0; round < 200; round++) {
        struct trace back;
        uint8_t bytes[500];
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (uint8_t)draw(&seed);
        if (round % 2 == 0)
            trace_file_header(bytes);
        const bool fine = load(bytes, sizeof bytes, &back);
        assert_int_equal(fine, round % 2 == 0);
        assert_int_equal(back.count, 0);
        trace_free(&back);
    }
}

/* Chunks whose CRC fits, of random events: what a hostile writer would make. */
static void nonsense_with_the_right_crc_is_no_trace(void **state)
{
    (void)state;
    static struct trace_chunk chunk;
    uint64_t seed = 9;
    for (unsigned round = 0; round < 300; round++) {
        struct trace back;
        uint8_t bytes[TRACE_FILE_HEADER + TRACE_CHUNK_HEADER + 64];
        trace_file_header(bytes);
        trace_chunk_begin(&chunk, 0);
        chunk.size = (size_t)(draw(&seed) % 64) + 1;
        for (size_t at = 0; at < chunk.size; at++)
            chunk.bytes[TRACE_CHUNK_HEADER + at] = (uint8_t)(draw(&seed) >> draw(&seed) % 9);
        const size_t size = trace_chunk_seal(&chunk, 0);
        memcpy(bytes + TRACE_FILE_HEADER, chunk.bytes, size);
        wrong[0] = 0;
        assert_true(load(bytes, TRACE_FILE_HEADER + size, &back));
        assert_true(back.count == 0 || trace_check(&back, wrong, sizeof wrong) || wrong[0] != '\0');
        trace_free(&back);
    }
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
        bool loads;
    } cases[] = {
        {"", "empty", false},
        {"hello\n", "no trace", false},
        {"iobuf-trace 2\n", "version '2'", false},
        {"IOBUFTRC\2\0\0\0", "version 2", false},
        {"iobuf-trace 1\n", "no events", true},
        {"iobuf-trace 1\nT 0 1 alloc 1\n", "line 2", false},
        {"iobuf-trace 1\nT 0 1 alloc 1 -5\n", "line 2", false},
        {"iobuf-trace 1\nT 0 1 truncate 1 5\n", "line 2", false},
        {"iobuf-trace 1\nT 0 1 release 1 5\n", "line 2", false},
        {"iobuf-trace 1\nT 0 1 alloc 1 99999999999999999999\n", "line 2", false},
        {"iobuf-trace 1\nT 0 1 release 8\n", "release of 8, which was never allocated", true},
        {"iobuf-trace 1\nT 0 1 alloc 1 5\nT 0 1 release 1\nT 0 1 release 1\n", "released before", true},
        {"iobuf-trace 1\nT 0 1 alloc 1 5\nT 0 1 alloc 1 5\n", "allocated before", true},
        {"iobuf-trace 1\nT 0 1 alloc 1 1073741825\n", "above the limit", true},
        {"iobuf-trace 1\nT 0 1 alloc 1 5\nT 0 1 coalesce 1 0\n", "no slice", true},
        {"iobuf-trace 1\nT 0 1 alloc 1 5\nT 0 1 coalesce 1 18446744073709551615\n", "2, which was never", true},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        struct trace trace;
        const size_t size = strncmp(cases[at].text, TRACE_MAGIC, 8) == 0 ? TRACE_FILE_HEADER : strlen(cases[at].text);
        wrong[0] = '\0';
        assert_int_equal(load(cases[at].text, size, &trace), cases[at].loads);
        assert_true(!cases[at].loads || !trace_check(&trace, wrong, sizeof wrong));
        if (strstr(wrong, cases[at].said) == NULL)
            fail_msg("'%s' does not say '%s'", wrong, cases[at].said);
        trace_free(&trace);
    }
}

static void events_of_all_threads_come_in_the_order_of_their_times(void **state)
{
    (void)state;
    static const char text[] = "iobuf-trace 1\nT 1 30 release 1\nT 0 10 alloc 1 5\nT 0 20 expand 1 5\n";
    struct trace trace;
    assert_true(load(text, strlen(text), &trace));
    assert_true(trace_check(&trace, wrong, sizeof wrong));
    assert_int_equal(trace.events[2].kind, TRACE_RELEASE);
    trace_free(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_give_back_what_was_written),
        cmocka_unit_test(a_binary_cut_at_any_byte_is_read_up_to_there),
        cmocka_unit_test(a_changed_byte_is_found_wherever_it_is),
        cmocka_unit_test(a_chunk_that_is_missing_ends_what_can_be_read),
        cmocka_unit_test(a_text_cut_within_a_line_is_refused),
        cmocka_unit_test(random_bytes_are_no_trace),
        cmocka_unit_test(nonsense_with_the_right_crc_is_no_trace),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(events_of_all_threads_come_in_the_order_of_their_times),
    };
    const int handle = mkstemp(path);
    if (handle < 0 || close(handle) != 0)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
