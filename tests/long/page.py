#!/usr/bin/env python3
"""The page of closewait report --format=html in headless Chromium: an empty, a small, a hostile and a
100,000-leak log, each in light and dark, narrow and printed; zoom, search, keys, no error, under 2 s
to load. BUILD names the build tree. With a folder for an argument, pictures are left there. Ends
with "N passed, N failed".
"""
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BUILD = os.path.realpath(os.environ.get('BUILD', 'build'))
SECONDS_TO_LOAD = 2
LOGS = {'empty': None, 'small': ['60', '3', '5'], 'hostile': ['3000', '20', '40', 'hostile'],
        'large': ['139000', '200', '120']}


class Browser:
    """A session of WebDriver (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(['chromedriver', '--port=0'], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if found := re.search(r'started successfully on port (\d+)', line):
                break
        else:
            sys.exit('chromedriver does not start')
        self.address = f'http://127.0.0.1:{found[1]}/session'
        # As root, as in a container, Chromium runs without its sandbox only.
        options = {'args': ['--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--hide-scrollbars',
                            f'--user-data-dir={folder}/profile', '--window-size=1280,900']}
        made = self.ask('POST', '', {'capabilities': {'alwaysMatch': {
            'browserName': 'chrome', 'goog:chromeOptions': options, 'goog:loggingPrefs': {'browser': 'ALL'}}}})
        self.address += '/' + made['sessionId']

    def ask(self, method, path, body=None):
        body = json.dumps(body or {}).encode() if method == 'POST' else None
        request = urllib.request.Request(self.address + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from error

    def run(self, script, *arguments):
        return self.ask('POST', '/execute/sync', {'script': script, 'args': list(arguments)})

    def devtools(self, command, **parameters):
        return self.ask('POST', '/goog/cdp/execute', {'cmd': command, 'params': parameters})

    def open(self, path):
        """Returns how many seconds it took until the page was drawn."""
        began = time.monotonic()
        self.ask('POST', '/url', {'url': 'file://' + path})
        self.ask('POST', '/execute/async', {'script': 'const done = arguments[0];'
                                            'requestAnimationFrame(() => requestAnimationFrame(() => done()));',
                                            'args': []})
        return time.monotonic() - began

    def errors(self):
        return [entry['message'] for entry in self.ask('POST', '/se/log', {'type': 'browser'})]

    def press(self, *keys):
        """To what has the focus."""
        actions = [{'type': kind, 'value': key} for key in keys for kind in ('keyDown', 'keyUp')]
        self.ask('POST', '/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': actions}]})

    def wide(self, width):
        self.devtools('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1,
                      mobile=False)

    def scheme(self, name):
        self.devtools('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': name}])

    def picture(self, path, whole=True):
        image = self.devtools('Page.captureScreenshot', captureBeyondViewport=whole)
        with open(path, 'wb') as to:
            to.write(base64.b64decode(image['data']))

    def close(self):
        self.ask('DELETE', '')
        self.driver.terminate()
        self.driver.wait()


class Checks:
    passed = failed = 0

    def expect(self, what, got, wanted=True):
        if got == wanted:
            self.passed += 1
            return
        self.failed += 1
        print(f'not ok {what}: {got!r}, expected {wanted!r}')

    def eventually(self, what, ask, wanted=True):
        deadline = time.monotonic() + 10
        while (got := ask()) != wanted and time.monotonic() < deadline:
            time.sleep(0.02)
        self.expect(what, got, wanted)


ENTER, ESCAPE, UP, DOWN, TAB, END = '\ue007', '\ue00c', '\ue013', '\ue015', '\ue004', '\ue010'

# The ratio of WCAG 2.1 between the colours of text and of what is behind it, the least on the page.
CONTRAST = r'''
const linear = part => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const parts = color => color.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
function behind(element) {
    for (; element; element = element.parentElement) {
        const color = parts(getComputedStyle(element).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
}
let least = [99, ''];
for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('svg, .unseen, :disabled')) continue;
    const pair = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < least[0]) least = [ratio, element.tagName + ' ' + element.textContent.slice(0, 40)];
}
return least;
'''

# What assistive technology could not name, and ids that are there twice.
UNNAMED = r'''
const wrong = [];
const ids = new Set();
for (const element of document.querySelectorAll('[id]')) {
    if (ids.has(element.id)) wrong.push('twice: ' + element.id);
    ids.add(element.id);
}
for (const element of document.querySelectorAll('[aria-labelledby]'))
    if (!document.getElementById(element.getAttribute('aria-labelledby'))) wrong.push('no label: ' + element.id);
for (const element of document.querySelectorAll('input, select'))
    if (element.labels.length === 0) wrong.push('no label: ' + element.id);
for (const element of document.querySelectorAll('button'))
    if (!element.textContent && !element.getAttribute('aria-label')) wrong.push('no name: ' + element.outerHTML);
for (const table of document.querySelectorAll('table')) {
    if (!table.caption) wrong.push('no caption: ' + table.id);
    for (const heading of table.tHead.rows[0]?.cells || [])
        if (heading.scope !== 'col') wrong.push('no scope: ' + heading.textContent);
}
for (const drawing of document.querySelectorAll('svg'))
    if (!drawing.closest('[aria-hidden]') && !drawing.getAttribute('aria-label')) wrong.push('no name: svg');
const levels = [...document.querySelectorAll('h1, h2, h3')].map(heading => Number(heading.tagName[1]));
if (levels[0] !== 1 || levels.filter(level => level === 1).length !== 1) wrong.push('headings');
return wrong;
'''


def make_page(folder, name):
    log, page = f'{folder}/{name}.jsonl', f'{folder}/{name}.html'
    with open(log, 'wb') as to:
        if LOGS[name]:
            subprocess.run([f'{BUILD}/tests/records', *LOGS[name]], stdout=to, check=True)
    with open(page, 'wb') as to:
        subprocess.run([f'{BUILD}/closewait', 'report', '--format=html', log], stdout=to, check=True,
                       stderr=subprocess.DEVNULL)
    return page


def check_any(checks, browser, name, page):
    seconds = browser.open(page)
    print(f'{name}: {os.path.getsize(page)} bytes, loaded in {seconds:.2f} s')
    checks.expect(f'{name}: loads in time', seconds < SECONDS_TO_LOAD)
    checks.expect(f'{name}: what is wrong with its names', browser.run(UNNAMED), [])
    for scheme in ('light', 'dark'):
        browser.scheme(scheme)
        ratio, where = browser.run(CONTRAST)
        checks.expect(f'{name}: contrast in {scheme}, {ratio:.2f} of {where}', ratio >= 4.5)
    for width in (1280, 320):
        browser.wide(width)
        checks.expect(f'{name}: {width} pixels are enough',
                      browser.run('return document.documentElement.scrollWidth <= innerWidth'))
    browser.wide(1280)
    checks.expect(f'{name}: asks for nothing',
                  browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)"
                              ".filter(name => !name.startsWith('data:'))"), [])


def check_icicle(checks, browser, name):
    def said():
        return browser.run("return document.getElementById('icicle-said').textContent")

    def frames():
        return browser.run("return document.querySelectorAll('#icicle-chart button').length")

    def focused():
        return browser.run("return document.activeElement.getAttribute('aria-label')")

    before = frames()
    browser.run("document.querySelector('#icicle-chart button').focus()")
    checks.expect(f'{name}: one frame is in the order of focus',
                  browser.run("return document.querySelectorAll('#icicle-chart button[tabindex=\"0\"]').length"), 1)
    browser.press(DOWN, DOWN)
    checks.expect(f'{name}: the keys go down', focused() != said() and not focused().startswith('all,'))
    label = focused()
    browser.press(ENTER)
    checks.expect(f'{name}: Enter zooms', focused(), label + ', zoomed into')
    checks.expect(f'{name}: what it zoomed into is as wide as all',
                  browser.run("return document.activeElement.style.width"), '100%')
    browser.press(ESCAPE, ESCAPE, ESCAPE)
    checks.expect(f'{name}: Escape zooms out', (frames(), focused().startswith('all,')), (before, True))
    browser.run("document.querySelectorAll('#icicle-chart button')[2].click()")
    checks.expect(f'{name}: a click zooms', browser.run("return !document.getElementById('icicle-all').disabled"))
    browser.run("document.getElementById('icicle-all').click()")
    checks.expect(f'{name}: all are shown again', frames(), before)


def type_into(browser, field, text):
    browser.run("const field = document.getElementById(arguments[0]); field.value = arguments[1];"
                "field.dispatchEvent(new Event('input'))", field, text)


def text_of(browser, place):
    return browser.run('return document.getElementById(arguments[0]).textContent', place)


def check_large(checks, browser):
    check_icicle(checks, browser, 'large')
    checks.expect('large: says how many leaks there are',
                  browser.run("return Number(document.querySelector('.tiles dd').textContent.replaceAll(',', '')) >= 100000"))
    rows = "return document.querySelectorAll('#records-table tbody tr').length"
    checks.expect('large: a page of records', browser.run(rows), 50)
    checks.expect('large: all records are there', text_of(browser, 'records-said'), '1 to 50 of 100,000 records')
    browser.run("document.getElementById('records-last').click()")
    checks.expect('large: the last page', text_of(browser, 'records-said'), '99,951 to 100,000 of 100,000 records')
    began = time.monotonic()
    type_into(browser, 'records-search', 'LATE-close api[1005]')
    checks.eventually('large: a search finds some',
                      lambda: bool(re.fullmatch(r'1 to \d+ of \d{2,3} records', text_of(browser, 'records-said'))))
    print(f'large: searched in {time.monotonic() - began:.2f} s')
    checks.expect('large: and they are what was sought', browser.run(
        "return [...document.querySelectorAll('#records-table tbody tr')].every("
        "row => row.cells[1].textContent === 'late-close' && row.cells[2].textContent === 'api[1005]')"))
    type_into(browser, 'records-search', 'no such thing')
    checks.eventually('large: a search finds none', lambda: text_of(browser, 'records-said'), 'No record is like that')
    type_into(browser, 'records-search', '')
    checks.eventually('large: all are back', lambda: text_of(browser, 'records-said'), '1 to 50 of 100,000 records')
    browser.run("document.querySelectorAll('#records-table th button')[3].click()")
    checks.expect('large: sorted by descriptor', browser.run(
        "const fds = [...document.querySelectorAll('#records-table tbody tr')].map(row => Number(row.cells[3].textContent));"
        "return fds.every((fd, at) => at === 0 || fd <= fds[at - 1])"))
    type_into(browser, 'sites-search', 'net.c:20')
    checks.eventually('large: call sites are searched', lambda: browser.run(
        "const shown = [...document.querySelectorAll('#sites-table tbody tr')].filter(row => !row.hidden);"
        "return shown.length > 0 && shown.every(row => row.textContent.includes('net.c:20'))"))
    browser.run("location.hash = '#site-3'")
    checks.eventually('large: a link opens its call site', lambda: browser.run(
        "return document.querySelector('#site-3 details').open && !document.getElementById('site-3').hidden"))
    heading = "[...document.querySelectorAll('#sites-table th')].find(cell => cell.textContent === 'Leaked')"
    browser.run(f"{heading}.querySelector('button').click()")
    checks.expect('large: call sites are sorted', browser.run(
        f"const at = {heading}.cellIndex; const counts = [...document.querySelectorAll('#sites-table tbody tr')]"
        ".map(row => Number(row.cells[at].dataset.value));"
        f"return {heading}.ariaSort === 'descending' && counts.every((count, at) => at === 0 || count <= counts[at - 1])"))
    before = text_of(browser, 'timeline-said')
    browser.run("document.getElementById('timeline-moment').focus()")
    browser.press('\ue012')
    checks.expect('large: the moment moves by a key', text_of(browser, 'timeline-said') != before)


def check_hostile(checks, browser):
    check_icicle(checks, browser, 'hostile')
    checks.expect('hostile: elements that a record made', browser.run(
        "return document.querySelectorAll('img, script:not(:last-of-type):not(#data)').length"), 0)
    checks.expect('hostile: the text is as it was', browser.run(
        "return document.body.textContent.includes('<img src=x onerror=alert(1)>')"))
    checks.expect('hostile: no character turns the text around', browser.run(
        r"return /[\u202a-\u202e\u2028\u2029\u0001\u001b]/.test(document.documentElement.textContent)"), False)


def check_empty(checks, browser):
    checks.expect('empty: says so', browser.run("return document.body.textContent.includes('Nothing leaked.')"))
    checks.expect('empty: shows no drawing', browser.run(
        "return ['timeline', 'icicle', 'records'].every(id => document.getElementById(id).hidden)"))


def check_script(checks, browser, page, folder):
    """What a record could smuggle in would not run: the policy allows one script alone."""
    with open(page, encoding='utf-8') as text:
        smuggled = text.read().replace('<main>', '<main><script>document.title = "ran"</script>')
    with open(f'{folder}/smuggled.html', 'w', encoding='utf-8') as to:
        to.write(smuggled)
    browser.open(f'{folder}/smuggled.html')
    checks.expect('another script does not run', browser.run('return document.title') != 'ran')
    checks.expect('and the page works', browser.run("return !document.getElementById('icicle').hidden"))
    checks.expect('and it is told', any('Content Security Policy' in error for error in browser.errors()))


def leave_pictures(browser, name, page, to):
    for scheme in ('light', 'dark'):
        for width in (1280, 360):
            browser.wide(width)
            browser.scheme(scheme)
            browser.open(page)
            browser.picture(f'{to}/{name}-{scheme}-{width}.png', True)
    browser.wide(1280)
    with open(f'{to}/{name}.pdf', 'wb') as pdf:
        pdf.write(base64.b64decode(browser.ask('POST', '/print', {'background': True})))


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(folder)
        try:
            for name in LOGS:
                page = make_page(folder, name)
                check_any(checks, browser, name, page)
                if more := {'large': check_large, 'hostile': check_hostile, 'empty': check_empty}.get(name):
                    more(checks, browser)
                checks.expect(f'{name}: what the console says', browser.errors(), [])
                if name == 'small':
                    check_script(checks, browser, page, folder)
                if len(sys.argv) > 1:
                    leave_pictures(browser, name, page, sys.argv[1])
        finally:
            browser.close()
    print(f'{checks.passed} passed, {checks.failed} failed')
    sys.exit(checks.failed > 0)


if __name__ == '__main__':
    main()
